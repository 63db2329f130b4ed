"""Which service a command or a test run is about: the nearest ``pyproject.toml`` says, or SERVICE_PACKAGE."""

import importlib
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ServiceNotFoundError", "ServiceReference", "find_service", "load_object"]


class ServiceNotFoundError(Exception):
    """No service can be told, or a part of it cannot be imported. The message says what to do."""


class ServiceReference(NamedTuple):
    """A service by the convention of its layout; ``root`` is the directory of its ``pyproject.toml``."""

    package: str
    root: Path

    @property
    def settings(self) -> str:
        """Name the settings class, for ``load_object``."""
        return f"{self.package}.settings:Settings"

    @property
    def app(self) -> str:
        """Name the app factory, as uvicorn takes it."""
        return f"{self.package}.app:create_app"


def find_service(directory: Path, environ: Mapping[str, str] | None = None) -> ServiceReference:
    """Return the service that the directory lies in.

    SERVICE_PACKAGE decides if it is set, else ``[tool.chassis] package`` of the nearest ``pyproject.toml``
    that has it. Raises ``ServiceNotFoundError``.
    """
    chosen = (os.environ if environ is None else environ).get("SERVICE_PACKAGE", "")
    for root in (directory.absolute(), *directory.absolute().parents):
        file = root / "pyproject.toml"
        if not file.is_file():
            continue
        package = chosen or _package(file)
        if package:
            return ServiceReference(package, root)
    if chosen:
        return ServiceReference(chosen, directory.absolute())
    raise ServiceNotFoundError(
        f"no service in {directory}: run this inside one, whose pyproject.toml has"
        ' [tool.chassis] package = "...", or set SERVICE_PACKAGE'
    )


def load_object(reference: str, root: Path | None = None) -> Any:
    """Import ``package.module:name``; ``root`` is a directory that may hold a package that is not installed.

    It is looked for in ``root/src`` and, as ``python -m`` started there does, in ``root`` itself.

    Raises ``ServiceNotFoundError`` when there is no such module or name. Other errors of the import are the
    module's own and pass.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise ServiceNotFoundError(f"{reference} must have the form package.module:name")
    for source in () if root is None else (root / "src", root):
        if source.is_dir() and str(source) not in sys.path:
            sys.path.append(str(source))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ServiceNotFoundError(
            f"there is no module {error.name}: is the service installed here?"
        ) from error
    if not hasattr(module, name):
        raise ServiceNotFoundError(f"the module {module_name} has no {name}")
    return getattr(module, name)


def _package(file: Path) -> str:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ServiceNotFoundError(f"{file} cannot be read: {error}") from error
    package = document.get("tool", {}).get("chassis", {}).get("package", "")
    return package if isinstance(package, str) else ""
