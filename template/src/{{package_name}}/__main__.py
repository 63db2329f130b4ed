"""The process. `python -m` and the command of the service's name both come here."""

import sys

from chassis import server

from .settings import Settings


def main() -> int:
    """Read the settings and serve until a signal ends it. Returns the exit code."""
    return server.main(f"{__package__}.app:create_app", Settings)


if __name__ == "__main__":
    sys.exit(main())
