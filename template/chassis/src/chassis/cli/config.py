"""``chassis config``: what the settings are and where each value comes from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chassis.cli.aside import aside
from chassis.project import ServiceNotFoundError, find_service, load_object
from chassis.settings import Mistake, Origin, Settings, SettingsError, load, provenance

__all__ = ["app", "find_settings"]

INVALID = 1
NOT_FOUND = 2

app = typer.Typer(no_args_is_help=True, help="The settings of the service.")


@app.callback()
def config() -> None:
    """Keep ``show`` a command of its own: typer folds an app of one command."""


@app.command()
def show(
    settings: Annotated[
        str | None, typer.Option(help="Settings class as package.module:name; by default the service's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    directory: Annotated[
        Path, typer.Option(help="Directory of the service.", exists=True, file_okay=False)
    ] = Path(),
) -> None:
    """Print each setting, its variable, its value and its source. Secrets are masked.

    Exits with 1 and the list of all mistakes when the settings are invalid, with 2 when there is no service.
    """
    try:
        with aside():
            cls, root = find_settings(settings, directory)
            loaded = load(cls, directory=root)
    except ServiceNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(NOT_FOUND) from None
    except SettingsError as error:
        typer.echo(_mistakes_as_json(error) if as_json else str(error), err=not as_json)
        raise typer.Exit(INVALID) from None
    origins = provenance(loaded)
    if as_json:
        warnings = [_as_dict(warning) for warning in loaded.warnings]
        document = {"settings": [origin._asdict() for origin in origins], "warnings": warnings}
        typer.echo(json.dumps(document, indent=2))
        return
    for line in _table(origins):
        typer.echo(line)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)


def find_settings(reference: str | None, directory: Path) -> tuple[type[Settings], Path]:
    """Return the settings class and the directory its files are in.

    Raises ``ServiceNotFoundError``, also when the reference names something that is no settings class.
    """
    try:
        service = find_service(directory)
    except ServiceNotFoundError:
        if reference is None:
            raise
        service = None
    name = reference or (service.settings if service else "")
    root = service.root if service else directory.absolute()
    found = load_object(name, root)
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise ServiceNotFoundError(f"{name} is no class that inherits from chassis.settings.Settings")
    return found, root


def _table(origins: Sequence[Origin]) -> Iterable[str]:
    rows = [("SETTING", "VARIABLE", "VALUE", "SOURCE"), *origins]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    # One very long value must not push every source out of sight.
    widths[2] = min(widths[2], 48)
    for path, variable, value, source in rows:
        yield f"{path:<{widths[0]}}  {variable:<{widths[1]}}  {value:<{widths[2]}}  {source}".rstrip()


def _mistakes_as_json(error: SettingsError) -> str:
    found = {"mistakes": error.mistakes, "warnings": error.warnings}
    return json.dumps(
        {name: [_as_dict(entry) for entry in entries] for name, entries in found.items()}, indent=2
    )


def _as_dict(mistake: Mistake) -> dict[str, Any]:
    return {"variable": mistake.variable, "problem": mistake.problem, "source": mistake.source}
