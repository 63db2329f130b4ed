"""Whose each file of a service is, as ``chassis/ownership.toml`` states it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from chassis.cli.update.errors import UpdateError

__all__ = ["STATEMENT", "Owner", "Ownership", "Rule"]

STATEMENT = "chassis/ownership.toml"


class Owner(StrEnum):
    """The three classes. What each one means is told in the statement itself."""

    TEMPLATE = "template"
    SERVICE = "service"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for some paths. A change of a template-owned file belongs in its ``neighbour``."""

    paths: tuple[str, ...]
    owner: Owner
    neighbour: str = ""
    how: str = ""
    header: bool = True

    def matches(self, path: str) -> bool:
        """Tell whether a path, relative to the service, is one of them."""
        return any(_pattern(glob).fullmatch(path) for glob in self.paths)


@dataclass(frozen=True, slots=True)
class Ownership:
    """All rules, the more specific ones first."""

    rules: tuple[Rule, ...]
    headers: Mapping[Owner, str]

    @classmethod
    def read(cls, service: Path) -> "Ownership":
        """Read the statement of a service, or of a render. Raises ``UpdateError`` if it cannot be read."""
        file = service / STATEMENT
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
            return cls(
                rules=tuple(_rule(entry) for entry in document["rule"]),
                headers={Owner(owner): text for owner, text in document["headers"].items()},
            )
        except (OSError, ValueError, KeyError) as error:
            raise UpdateError(
                f"{file} cannot be read ({error}): restore it with git, it is the template's"
            ) from error

    def rule(self, path: str) -> Rule | None:
        """Return the first rule that names the path, or ``None``: then it is the service's own."""
        return next((rule for rule in self.rules if rule.matches(path)), None)

    def owner(self, path: str) -> Owner:
        """Return whose the file is."""
        found = self.rule(path)
        return Owner.SERVICE if found is None else found.owner


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        paths=tuple(entry["paths"]),
        owner=Owner(entry["class"]),
        neighbour=entry.get("neighbour", ""),
        how=entry.get("how", ""),
        header=entry.get("header", True),
    )


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob: ``**`` crosses folders, also none of them, ``*`` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*)", glob)
    meaning = {"**/": "(?:.+/)?", "**": ".+", "*": "[^/]*"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
