"""Whether the library of a service is exactly the released one. Its own record tells, without a network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from chassis import release
from chassis.cli.update.drift import LIBRARY, State

__all__ = ["RECORD", "Library", "examine"]

# Written by the release, beside the package: it is no part of the digest that it records.
RECORD = "chassis/releases.json"


@dataclass(frozen=True, slots=True)
class Library:
    """The library as it is. ``reason`` says why it cannot be compared; then nothing else counts."""

    digest: str = ""
    version: str = ""
    released_digest: str = ""
    changes: Mapping[str, State] = field(default_factory=dict)
    reason: str = ""

    @property
    def is_released(self) -> bool:
        """Tell whether every byte is the released one."""
        return not self.reason and self.digest == self.released_digest and not self.changes


def examine(service: Path) -> Library:
    """Compare the files of a service's library with those of the newest release in its record."""
    package = service / LIBRARY
    try:
        digest = release.digest(package)
        record: dict[str, Any] = json.loads((service / RECORD).read_text(encoding="utf-8"))
        newest = record["releases"][-1]
        return Library(
            digest=digest,
            version=newest["version"],
            released_digest=newest["digest"],
            changes=_changes(package, record["files"]),
        )
    except FileNotFoundError:
        return Library(reason=f"there is no {RECORD}: this chassis comes from no release")
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        return Library(
            reason=f"{RECORD} cannot be read ({type(error).__name__}: {error}): restore it with git"
        )


def _changes(package: Path, released: Mapping[str, str]) -> dict[str, State]:
    """Return what differs by path, relative to the service."""
    here = {
        file.relative_to(package).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in sorted(package.rglob("*"))
        if file.is_file() and not release.left_out(file.relative_to(package))
    }
    found = {name: State.EDITED for name in here.keys() & released.keys() if here[name] != released[name]}
    found |= dict.fromkeys(here.keys() - released.keys(), State.ADDED)
    found |= dict.fromkeys(released.keys() - here.keys(), State.REMOVED)
    return {f"{LIBRARY}{name}": found[name] for name in sorted(found)}
