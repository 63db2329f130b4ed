"""Migrations from the command line: ``python -m chassis.bundles.database upgrade``.

It works on the service that the current directory belongs to, or that SERVICE_PACKAGE names, with that
service's settings. Exit codes: 0 done, 1 failed or found a difference, 2 wrong settings or arguments.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from chassis.bundles.database.migrations import MigrationError, Migrations
from chassis.bundles.database.settings import DatabaseSettings
from chassis.logging import configure_logging, flush_logs
from chassis.masking import mask_text
from chassis.project import ServiceNotFoundError, ServiceReference, find_service, load_object
from chassis.service_settings import ServiceSettings
from chassis.settings import SettingsError, load

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; results go to standard output, mistakes to standard error."""
    options = _parser().parse_args(arguments)
    try:
        service = find_service(Path.cwd())
        migrations = Migrations(_database_settings(service))
        return _run(options, migrations, service)
    except (ServiceNotFoundError, SettingsError) as mistake:
        sys.stderr.write(f"{mistake}\n")
        return 2
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, SQLAlchemyError) as error:
        reason = mask_text(str(getattr(error, "orig", None) or error))
        sys.stderr.write(f"the database failed: {reason}\n")
        return 1
    finally:
        flush_logs()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chassis.bundles.database", description="Migrations.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    upgrade = commands.add_parser("upgrade", help="apply migrations")
    upgrade.add_argument("revision", nargs="?", default="head", help="where to stop; default: the newest")
    downgrade = commands.add_parser("downgrade", help="undo migrations")
    downgrade.add_argument("revision", help="-1: the last one; base: all")
    revision = commands.add_parser("revision", help="write a migration from what changed in the models")
    revision.add_argument("-m", "--message", required=True, help="what changes, in a few words")
    revision.add_argument("--empty", action="store_true", help="write one to fill in by hand")
    merge = commands.add_parser("merge", help="write a migration that joins two branches")
    merge.add_argument("-m", "--message", default="merge", help="what is joined")
    commands.add_parser("check", help="fail unless migrations, models and database agree")
    commands.add_parser("current", help="print the revision of the database")
    return parser


def _run(options: argparse.Namespace, migrations: Migrations, service: ServiceReference) -> int:
    match options.command:
        case "upgrade":
            migrations.upgrade(options.revision)
            _print_current(migrations)
        case "downgrade":
            migrations.downgrade(options.revision)
            _print_current(migrations)
        case "revision":
            _import_models(service)
            written = migrations.revision(options.message, autogenerate=not options.empty)
            sys.stdout.write(f"{written}\n")
        case "merge":
            sys.stdout.write(f"{migrations.merge(options.message)}\n")
        case "check":
            return _check(migrations, service)
        case _:
            _print_current(migrations)
    return 0


def _check(migrations: Migrations, service: ServiceReference) -> int:
    heads, current = migrations.heads(), migrations.current()
    if (current,) != heads:
        newest = ", ".join(heads) or "none"
        sys.stdout.write(f"the database is at {current or 'base'}, the newest migration is {newest}\n")
        return 1
    _import_models(service)
    differences = migrations.differences()
    for difference in differences:
        sys.stdout.write(f"{difference}\n")
    return 1 if differences else 0


def _print_current(migrations: Migrations) -> None:
    sys.stdout.write(f"the database is at {migrations.current() or 'base'}\n")


def _database_settings(service: ServiceReference) -> DatabaseSettings:
    """Read the service's settings, configure its logging, and return its first database."""
    settings: ServiceSettings = load(load_object(service.settings, service.root))
    configure_logging(settings.logging, service=settings.service.name, environment=settings.environment.value)
    for name in type(settings).model_fields:
        group = getattr(settings, name)
        if isinstance(group, DatabaseSettings):
            return group
    raise ServiceNotFoundError(
        f"{service.settings} has no database: add `database: DatabaseSettings = DatabaseSettings()`"
    )


def _import_models(service: ServiceReference) -> None:
    """Import everything the service's app uses, its models among it."""
    importlib.import_module(f"{service.package}.app")


if __name__ == "__main__":
    sys.exit(main())
