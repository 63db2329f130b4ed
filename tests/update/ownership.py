"""Whose a file is, as template/chassis/ownership.toml says it, read here without the code under test."""

import re
import tomllib
from functools import cache
from pathlib import Path

from releases import ROOT

RULES = ROOT / "template" / "chassis" / "ownership.toml"


def whose(path: str) -> str:
    """Give ``template``, ``service`` or ``merged`` for the path of a file in a service."""
    return next((owner for pattern, owner in _rules() if pattern.fullmatch(path)), "service")


@cache
def _rules() -> list[tuple[re.Pattern[str], str]]:
    document = tomllib.loads(RULES.read_text(encoding="utf-8"))
    return [(_pattern(glob), rule["class"]) for rule in document["rule"] for glob in rule["paths"]]


def _pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob: ``**`` stands for any path, ``*`` for anything within one folder."""
    parts = re.split(r"(\*\*/|\*\*|\*)", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


def files(folder: Path) -> dict[str, Path]:
    """Give every file of a service by its path, without git's own."""
    return {
        path: file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not (path := file.relative_to(folder).as_posix()).startswith(".git/")
    }
