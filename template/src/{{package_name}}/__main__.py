"""The process. `python -m` and the command of the service's name both come here."""

import sys

from chassis.server import run
from chassis.settings import SettingsError, load

from .settings import Settings


def main() -> int:
    """Read the settings and serve until a signal ends it. Returns the exit code."""
    try:
        settings = load(Settings)
    except SettingsError as mistakes:
        sys.stderr.write(f"{mistakes}\n")
        return 2
    return run(f"{__package__}.app:create_app", settings)


if __name__ == "__main__":
    sys.exit(main())
