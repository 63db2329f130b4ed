"""The ``chassis`` command.

- ``command``: the command itself, how errors are told, and the exit codes
- ``config``, ``doctor``, ``openapi``, ``update``, ``verify``, ``version``: one command each
- ``checks``, ``findings``: what ``doctor`` looks at, and how it tells

Exit codes: 0 all is well, 1 something is wrong with the service or its environment, 2 the command was used
wrongly, which includes a directory that holds no service. ``verify`` exits with 2 when it cannot tell,
``update --check`` with 2 when the service is behind, ``update`` with 130 when it was stopped.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    from chassis.cli.command import run

    sys.exit(run(sys.argv[1:]))
