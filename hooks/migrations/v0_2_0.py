"""0.2.0: in pyproject.toml the template's lines stand apart from the owner's.

In 0.1 the chassis was one of the lines that `uv add` sorts. A dependency of the owner's beside it made every
later choice of a bundle a conflict; a development dependency between the pins of mypy and ruff did the same
for every new pin, and a bumped version for a new description. Now comment lines stand between, and the tools
of `make check` come with ``vendored-chassis[checks]``: their pins are no lines of the service any more.

An owner who wants another mypy or ruff keeps the own list, without the extra, and is told.
"""

import re
import sys

import toml_keys
import toml_lists
from conflict import settle
from refused import Refused
from service import Service
from toml_document import Key

NEEDED: Key = ("project", "dependencies")
DEV: Key = ("dependency-groups", "dev")
YOURS = "# Yours."
PINNED = {"mypy": "mypy>=2.4,<3", "ruff": "ruff==0.17.5"}


def set_description_apart(text: str) -> str:
    """Return a pyproject.toml whose description is apart from the version, which the owner bumps."""
    return toml_keys.comment(text, ("project", "description"), "# The template's: an answer.")


def set_bundles_apart(text: str) -> str:
    """Return a pyproject.toml whose chassis entry, which names the bundles, is apart from its neighbours.

    What the example imports follows it: `uv add` sorts a list only if it was sorted, and else appends.
    """
    for item in toml_lists.items(text, NEEDED):
        if _name(item) == "vendored-chassis":
            text = toml_lists.set_apart(text, NEEDED, item, "# The template's: the chosen bundles.", YOURS)
    return _with_items(text, NEEDED, "fastapi", "pydantic")


def take_tools_from_chassis(text: str) -> str:
    """Return a pyproject.toml whose group ``dev`` gets the tools of `make check` from the chassis.

    Raises ``Refused`` if the group wants other versions of them.
    """
    old, new = "vendored-chassis[testing]", "vendored-chassis[checks,testing]"
    for requirement in toml_lists.items(text, DEV):
        if _name(requirement) in PINNED and requirement != PINNED[_name(requirement)]:
            raise Refused(
                f'the group dev wants "{requirement}", and the chassis brings a version of its own now.'
                f' To follow the standard, replace mypy, ruff and the chassis there by "{new}"'
            )
    if old in toml_lists.items(text, DEV):
        for requirement in PINNED.values():
            text = toml_lists.remove_item(text, DEV, requirement)
        text = toml_lists.replace_item(text, DEV, old, new)
    text = toml_lists.set_apart(text, DEV, new, "# The template's: tools and fixtures for checks.", YOURS)
    return _with_items(text, DEV, "httpx2")


def _with_items(text: str, key: Key, *wanted: str) -> str:
    """Add what is imported directly, unless the owner wants a version of it already."""
    present = {_name(item) for item in toml_lists.items(text, key)}
    for item in reversed(wanted):
        if item not in present:
            text = toml_lists.add_item(text, key, YOURS, item)
    return text


def _name(requirement: str) -> str:
    """Give the distribution that a requirement asks for."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower()


CHANGES = (set_description_apart, set_bundles_apart, take_tools_from_chassis)


def main() -> int:
    """Migrate the service that Copier started this for."""
    try:
        settle(Service.of_this_update(), "pyproject.toml", *CHANGES)
    except Refused as reason:
        print(f"Migration 0.2.0: {reason}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
