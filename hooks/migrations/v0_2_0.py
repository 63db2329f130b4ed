"""0.2.0: the tools of `make check` come with the chassis.

Until 0.1 the group ``dev`` of a service's pyproject.toml pinned mypy and ruff itself. The next line that an
owner added there with `uv add --dev` then met the next version of the pins, and the update conflicted. Now
``vendored-chassis[checks]`` brings them, and the list holds one line of the template's.

An owner who pinned either tool differently keeps the own list, without the extra, and is told.
"""

import re
import sys

import toml_keys
from conflict import settle
from refused import Refused
from service import Service

DEV = ("dependency-groups", "dev")
CHASSIS, WITH_CHECKS = "vendored-chassis[testing]", "vendored-chassis[checks,testing]"
PINNED = {"mypy": "mypy>=2.4,<3", "ruff": "ruff==0.17.5"}


def take_tools_from_chassis(text: str) -> str:
    """Return a pyproject.toml whose group ``dev`` gets its tools from the chassis.

    Raises ``Refused`` if the group wants other versions of them.
    """
    for requirement in toml_keys.items(text, DEV):
        if _name(requirement) in PINNED and requirement not in PINNED.values():
            raise Refused(
                f'the group dev wants "{requirement}", and the chassis brings a version of its own now. To'
                f' follow the standard, replace mypy, ruff and the chassis there by "{WITH_CHECKS}"'
            )
    changed = toml_keys.replace_item(text, DEV, CHASSIS, WITH_CHECKS)
    if changed == text:
        return text
    for requirement in PINNED.values():
        changed = toml_keys.remove_item(changed, DEV, requirement)
    return changed


def _name(requirement: str) -> str:
    """Give the distribution that a requirement asks for."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower()


def main() -> int:
    """Migrate the service that Copier started this for."""
    try:
        settle(Service.of_this_update(), "pyproject.toml", take_tools_from_chassis)
    except Refused as reason:
        print(f"Migration 0.2.0: {reason}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
