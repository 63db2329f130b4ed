"""Checks of what is installed."""

import ast
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from chassis.cli.findings import Finding, ok, problem, warning
from chassis.cli.uv import find_uv
from chassis.project import ServiceReference

__all__ = ["extras", "lock", "python", "uv"]

DISTRIBUTION = "vendored-chassis"
LOCK_SECONDS = 60


def python(root: Path) -> Iterator[Finding]:
    """Check that this Python is one that the service supports."""
    file = root / "pyproject.toml"
    document = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    wanted = str(document.get("project", {}).get("requires-python", ""))
    lowest = re.search(r">=\s*(\d+)\.(\d+)", wanted)
    running = platform.python_version()
    if lowest and sys.version_info[:2] < (int(lowest[1]), int(lowest[2])):
        yield problem("python", f"{running} is too old: the service needs {wanted}", "Run make install.")
    else:
        yield ok("python", f"{running} at {sys.executable}")


def uv(root: Path) -> Iterator[Finding]:
    """Check that uv is there: the make targets use it."""
    found = find_uv(root)
    if found is None:
        yield warning("uv", "is not installed", "Run make install, or see https://docs.astral.sh/uv/.")
    else:
        yield ok("uv", str(found))


def lock(root: Path) -> Iterator[Finding]:
    """Check that the lock file says what ``pyproject.toml`` asks for."""
    if not (root / "uv.lock").is_file():
        yield warning("lock", "there is no uv.lock: versions differ from machine to machine", "Run uv lock.")
        return
    program = find_uv(root)
    if program is None:
        yield warning("lock", "cannot be checked without uv", "Run make install.")
        return
    command = [str(program), "lock", "--check", "--offline"]
    try:
        result = subprocess.run(  # noqa: S603 - a fixed command
            command, cwd=root, capture_output=True, text=True, timeout=LOCK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        yield warning("lock", "cannot be checked: uv did not answer", "Run uv lock --check.")
        return
    if result.returncode == 0:
        yield ok("lock", "uv.lock fits pyproject.toml")
    elif "needs to be updated" in result.stderr:
        yield problem("lock", "uv.lock does not fit pyproject.toml", "Run uv lock and commit the file.")
    else:
        yield warning("lock", "cannot be checked without a network", "Run uv lock --check.")


def extras(service: ServiceReference) -> Iterator[Finding]:
    """Check that what the bundles in use need is installed."""
    places = (service.root / "src" / service.package, service.root / service.package)
    used = sorted(set().union(*map(_bundles, places)))
    missing = {bundle: absent for bundle in used if (absent := _absent(bundle))}
    for bundle, absent in missing.items():
        yield problem(
            "bundles",
            f"{bundle} is used and {', '.join(absent)} not installed",
            f"Add {DISTRIBUTION}[{bundle}] to the dependencies in pyproject.toml and run make install.",
        )
    if not missing:
        yield ok("bundles", ", ".join(used) or "none in use")


def _bundles(source: Path) -> set[str]:
    """Return the bundles that a service imports; a file that is not Python is skipped."""
    found: set[str] = set()
    for file in source.rglob("*.py"):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                parts = name.split(".")
                if parts[:2] == ["chassis", "bundles"] and len(parts) > 2:  # noqa: PLR2004 - chassis.bundles.x
                    found.add(parts[2])
    return found


def _absent(extra: str) -> list[str]:
    """Return the distributions of an extra that are not installed."""
    try:
        requirements = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    absent: list[str] = []
    for requirement in requirements:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name is None or not re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", requirement):
            continue
        try:
            version(name[0])
        except PackageNotFoundError:
            absent.append(name[0])
    return absent
