"""What the CHANGELOG of the template says about some releases."""

import re
from collections.abc import Iterator

from chassis.cli.update.versions import Version

__all__ = ["between", "plain"]

SECTION = re.compile(r"^## +\[?(?P<version>\d+\.\d+\.\d+)\]?.*$", re.MULTILINE)
HEADING = re.compile(r"^## ", re.MULTILINE)


def between(text: str, after: Version, upto: Version) -> str:
    """Return the sections of the releases after one up to another, newest first, as they are written."""
    return "\n\n".join(
        section
        for version, section in sorted(_sections(text), key=lambda entry: entry[0], reverse=True)
        if after < version <= upto
    )


def plain(text: str) -> str:
    """Return it without the marks of headings: git takes a line that begins with ``#`` for a comment."""
    return re.sub(r"^#+ *", "", text, flags=re.MULTILINE)


def _sections(text: str) -> Iterator[tuple[Version, str]]:
    for match in SECTION.finditer(text):
        end = HEADING.search(text, match.end())
        version = Version.parse(match["version"])
        if version is not None:
            yield version, text[match.start() : end.start() if end else None].strip()
