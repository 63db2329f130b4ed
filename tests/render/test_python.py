"""What is rendered is code that its own checks accept: format, rules, types and tests.

Answer sets whose code is the same are checked once. All use one environment, the repository's own, and the
vendored library of the render.
"""

import ast
import difflib
import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from type_cache import type_cache

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
CODE = (".py", ".toml", ".ini", ".mako")


def variants() -> dict[str, dict[str, Any]]:
    """Answer sets that differ in their code: what bundles bring, and names that are easily mistaken."""
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    bundles = list(questions["bundles"]["choices"].values())
    return {
        "no-bundle": {"bundles": []},
        **{bundle: {"bundles": [bundle]} for bundle in bundles if len(bundles) > 1},
        "every-bundle": {"bundles": bundles, "service_slug": "no", "package_name": "match"},
    }


@pytest.fixture(scope="session", params=list(variants()))
def service(request: pytest.FixtureRequest, render: Callable[..., Path]) -> Path:
    return render(**variants()[request.param])


def run(service: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a tool in the service, with its packages on the path and no coverage of ours."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "COV_", "PYTEST"))
    }
    path = os.pathsep.join(str(service / folder) for folder in ("src", "chassis/src"))
    return subprocess.run(
        command,
        cwd=service,
        env=clean | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_formatter_changes_nothing(service: Path) -> None:
    done = run(service, TOOLS / "ruff", "format", "--no-cache", "--check", ".")
    assert done.returncode == 0, done.stdout


def test_the_linter_finds_nothing(service: Path) -> None:
    done = run(service, TOOLS / "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_the_type_checker_finds_nothing(service: Path) -> None:
    # The library is the same everywhere: it is read in one place.
    library = str(ROOT / "template" / "chassis" / "src")
    with type_cache() as cache:
        done = run(
            service, TOOLS / "mypy", "--cache-dir", cache, "src", "tests", MYPYPATH=library, PYTHONPATH=""
        )
    assert done.returncode == 0, done.stdout


def test_its_own_tests_pass(service: Path) -> None:
    done = run(service, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_vendored_library_is_what_its_tests_use(service: Path) -> None:
    done = run(service, sys.executable, "-c", "import chassis.release as found; print(found.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(service)


@pytest.mark.parametrize(
    ("file", "line", "tool"),
    [
        ("src/{package}/items/router.py", "import os\n", ["ruff", "check", "--no-cache", "."]),
        ("src/{package}/items/router.py", "x  =  1\n", ["ruff", "format", "--no-cache", "--check", "."]),
        (
            "tests/test_items.py",
            "\n\ndef test_fails() -> None:\n    assert not LAMP\n",
            ["pytest", "-q", "tests/test_items.py"],
        ),
    ],
)
def test_bad_code_is_rejected(file: str, line: str, tool: list[str], render: Callable[..., Path]) -> None:
    service = render()
    with (service / file.format(package="example_service")).open("a", encoding="utf-8") as opened:
        opened.write(line)
    assert run(service, TOOLS / tool[0], *tool[1:]).returncode == 1


def test_every_answer_set_has_code_that_is_checked(
    render: Callable[..., Path], matrix_names: list[str], answers_of: Callable[[str], dict[str, Any]]
) -> None:
    checked = {digest(render(library=False, **variant)) for variant in variants().values()}
    distinct = {tuple(answers_of(name).get("bundles", [])): name for name in matrix_names}
    assert {digest(render(library=False, **answers_of(name))) for name in distinct.values()} <= checked


def test_two_sources_have_directives_and_all_are_valid_python() -> None:
    folder = ROOT / "template"
    sources = [file for part in ("src", "tests", "migrations") for file in (folder / part).rglob("*.py*")]
    directed = {file for file in sources if file.suffix == ".jinja"}
    assert {file.name for file in directed} == {"app.py.jinja", "settings.py.jinja"}
    for file in sources:
        if file.suffix in {".py", ".jinja"}:
            text = file.read_text(encoding="utf-8")
            ast.parse(text)
            assert ("#% if 'database' in bundles" in text) is (file in directed), file
            assert not any(mark in text for mark in ("{{", "{%", "{#")), file


def test_a_bundle_is_switched_on_by_its_extra_its_entry_and_its_group(render: Callable[..., Path]) -> None:
    without, with_it = render(library=False), render(library=False, bundles=["database"])

    def added(name: str) -> list[str]:
        before, after = [(service / name).read_text().splitlines() for service in (without, with_it)]
        return [line[2:].strip() for line in difflib.ndiff(before, after) if line.startswith("+ ")]

    package = "src/example_service"
    assert added("pyproject.toml") == ['"vendored-chassis[database,tracing]",']
    assert added(f"{package}/app.py") == [
        "from chassis.bundles.database import Database",
        "bundles=[Database(settings.database)],",
    ]
    assert added(f"{package}/settings.py") == [
        "from chassis.bundles.database import DatabaseSettings",
        "database: DatabaseSettings = DatabaseSettings()",
    ]


def test_the_library_is_an_editable_path_dependency(render: Callable[..., Path]) -> None:
    project = tomllib.loads((render(library=False) / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["uv"]["sources"] == {"vendored-chassis": {"path": "chassis", "editable": True}}


def digest(service: Path) -> str:
    """A digest of the code, in which names and free text do not count."""
    total = hashlib.sha256()
    for file in sorted(service.rglob("*")):
        path = file.relative_to(service).as_posix()
        if file.suffix == ".py" and not path.startswith("chassis/"):
            total.update(path.partition("/items/")[2].encode() + file.read_bytes())
    return total.hexdigest()
