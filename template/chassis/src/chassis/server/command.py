"""The command line of a service."""

import argparse
import os
import sys
from collections.abc import Sequence

from chassis.server import collector, exits
from chassis.server.process import run
from chassis.service_settings import ServiceSettings
from chassis.settings import SettingsError, load

__all__ = ["main"]


def main(factory: str, settings: type[ServiceSettings], arguments: Sequence[str] | None = None) -> int:
    """Read the settings, serve ``factory`` (``orders.app:create_app``) and return the exit code.

    Each option sets the variable of its name, so that it goes before ``.env`` and the files. Settings that
    are wrong are listed on standard error, all of them; the exit code is then 78.
    """
    hold_standard_streams()
    os.environ.update(_options(factory, arguments))
    try:
        with collector.held():
            loaded = load(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return exits.CONFIG
    return run(factory, loaded)


def hold_standard_streams() -> None:
    """Open those standard streams that are closed. A socket would take their number, and libuv closes no such one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process


def _options(factory: str, arguments: Sequence[str] | None) -> dict[str, str]:
    parser = argparse.ArgumentParser(
        prog=f"python -m {factory.partition(':')[0].partition('.')[0]}",
        description="Serve until SIGTERM or Ctrl-C. Every setting can be an environment variable.",
    )
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (HOST)")
    parser.add_argument("--port", metavar="NUMBER", help="port to listen on (PORT)")
    parser.add_argument("--workers", metavar="NUMBER", help="number of worker processes (WORKERS)")
    parser.add_argument(
        "--reload", action="store_const", const="true", help="restart when a source file changes (RELOAD)"
    )
    given = vars(parser.parse_args(arguments))
    return {name.upper(): value for name, value in given.items() if value is not None}
