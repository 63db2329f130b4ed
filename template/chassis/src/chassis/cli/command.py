"""The command line as a whole. What a command needs is imported when it runs, so that ``--help`` is quick."""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command
from typing_extensions import override

__all__ = ["app", "run"]

OK = 0
FINDING = 1
USAGE = 2


LOADED_LATE = {
    "config": "chassis.cli.config",
    "update": "chassis.cli.update.command",
    "verify": "chassis.cli.verify",
}


class _Commands(TyperGroup):
    """Loads some commands when they are called: they import what takes longer than all the rest."""

    @override
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in LOADED_LATE:
            command = get_command(import_module(LOADED_LATE[name]).app)
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    name="chassis",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Look after a service that was rendered from the Chassis template.",
    epilog="Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage or no service here.",
)
Directory = Annotated[
    Path, typer.Option(help="Directory of the service.", exists=True, file_okay=False, show_default=".")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. Whatever goes wrong is told in words, without a traceback.

    ``--traceback`` before the command shows it all the same.
    """
    code: str | int | None = OK
    try:
        app(args=list(arguments), prog_name="chassis")
    except SystemExit as end:  # how typer ends every command, a good one too
        code = end.code
    except Exception as error:  # noqa: BLE001 - the border of the process: nothing may pass as a traceback
        if "--traceback" in arguments:
            from chassis.masking import mask_text

            sys.stderr.write(mask_text(traceback.format_exc()))
        code = _explain(error)
    return code if isinstance(code, int) else FINDING


@app.callback()
def options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")] = False,
) -> None:
    """Take the options that stand before the command."""


@app.command()
def version(directory: Directory = Path(), as_json: Json = False) -> None:
    """Print the versions of the chassis, of Python and of the service."""
    from chassis.cli.version import show

    show(directory, as_json=as_json)


@app.command()
def openapi(
    directory: Directory = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write to this file, not to stdout.")
    ] = None,
) -> None:
    """Print the OpenAPI document of the service; no server is started."""
    from chassis.cli.openapi import show

    show(directory, output)


@app.command()
def doctor(
    directory: Directory = Path(),
    online: Annotated[
        bool, typer.Option("--online", help="Also start the service's resources and ask its health checks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with this environment and what to do about it. Exits with 1 if there is a problem."""
    from chassis.cli.doctor import examine

    if not examine(directory, online=online, as_json=as_json):
        raise typer.Exit(FINDING)


for _name, _help in (
    ("config", "Show the settings of the service."),
    ("verify", "Say whether the template's files are as they were released."),
    ("update", "Take a newer release of the template, on a branch."),
):
    app.add_typer(typer.Typer(callback=lambda: None), name=_name, help=_help)


def _explain(error: Exception) -> int:
    from chassis.cli.reason import reason
    from chassis.project import ServiceNotFoundError
    from chassis.settings import SettingsError

    if isinstance(error, ServiceNotFoundError):
        sys.stderr.write(f"chassis: {error}\n")
        return USAGE
    if isinstance(error, SettingsError):
        sys.stderr.write(f"chassis: {error}\n")
        return FINDING
    sys.stderr.write(f"chassis: {reason(error)} (run chassis --traceback ... to see where it comes from)\n")
    return FINDING
