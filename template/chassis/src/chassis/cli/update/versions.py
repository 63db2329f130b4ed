"""Versions of the template: a release is tagged X.Y.Z, nothing else is a release."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from typing_extensions import override

__all__ = ["Recorded", "Version", "newest"]

RELEASE = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
# As `git describe` names a commit after a tag: 0.1.0-3-gdeadbee
DESCRIBED = re.compile(r"(?P<release>\d+\.\d+\.\d+)(?P<later>-\d+-g[0-9a-f]+)?")


class Version(NamedTuple):
    """A release; compared by its numbers, as PEP 440 does."""

    major: int
    minor: int
    patch: int

    @override
    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "Version | None":
        """Return the release that a tag names, or ``None``."""
        match = RELEASE.fullmatch(text)
        return cls(*map(int, match.groups())) if match else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a service was rendered from: in git's words, the last release there, and whether it is that."""

    described: str
    release: Version
    exact: bool

    @classmethod
    def parse(cls, described: str) -> "Recorded | None":
        """Return what a description says, or ``None`` if it names no release."""
        match = DESCRIBED.fullmatch(described)
        release = Version.parse(match["release"]) if match else None
        return cls(described, release, match["later"] is None) if match and release else None

    @override
    def __str__(self) -> str:
        return self.described


def newest(tags: Iterable[str], wanted: str = "") -> Version | None:
    """Return the newest release among the tags; ``wanted`` limits them to one, or to a line like ``0.1``."""
    found = [version for tag in tags if (version := Version.parse(tag))]
    return max(
        (version for version in found if f"{version}.".startswith(f"{wanted}." if wanted else "")),
        default=None,
    )
