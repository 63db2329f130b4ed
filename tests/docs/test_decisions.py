"""What the records of decisions say of the code as a whole: its packages, layers and private names."""

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chassis.metrics import service as metrics_service
from chassis.service_settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "docs/decisions"
LIBRARY = ROOT / "template/chassis/src/chassis"
SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(LIBRARY.rglob("*.py"))}


def project(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


# The records


def test_the_list_names_every_record_in_order() -> None:
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \|", (RECORDS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert listed == [(path.name[:4], path.name) for path in sorted(RECORDS.glob("0*.md"))]


@pytest.mark.parametrize("path", sorted(RECORDS.glob("0*.md")), ids=lambda path: path.name[:4])
def test_a_record_says_what_was_decided_why_and_what_it_costs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "0003-dependencies.md":
        assert "| package | why this one |" in text
    else:
        assert all(f"\n**{part}.**" in text for part in ("Decision", "Why", "Cost"))


# 0001, 0003: packages


def test_the_name_of_the_library_is_kept_off_package_indexes() -> None:
    library = project("template/chassis/pyproject.toml")["project"]
    assert library["name"] == "vendored-chassis"
    assert "Private :: Do Not Upload" in library["classifiers"]  # PyPI refuses such a classifier


def table(heading: str) -> set[str]:
    """The packages of one table of the record, by their canonical names, extras left out."""
    text = (RECORDS / "0003-dependencies.md").read_text(encoding="utf-8")
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z][^|]*) \|", part, re.MULTILINE)
    words = {word for row in rows if row != "package" for word in re.split(r"[,;] | and ", row)}
    return {canonicalize_name(word.partition("[")[0]) for word in words}


def named(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


EXPORTERS = {"opentelemetry-exporter-otlp-proto-grpc", "opentelemetry-exporter-otlp-proto-http"}


def test_the_table_has_every_package_of_every_service() -> None:
    library = project("template/chassis/pyproject.toml")["project"]
    assert table("Of every service") == named(library["dependencies"])


def test_the_table_has_every_package_of_a_bundle_or_extra() -> None:
    extras = project("template/chassis/pyproject.toml")["project"]["optional-dependencies"].values()
    assert table("Of a bundle or extra") - {"otlp exporters"} == (
        named(list(itertools.chain(*extras))) - EXPORTERS
    )


def test_the_table_has_every_package_of_this_repository() -> None:
    # uv installs the group, and services need pytest as well.
    group = named(project("pyproject.toml")["dependency-groups"]["dev"])
    assert table("Of this repository") == (group - {"pytest"}) | {"uv"}


@pytest.mark.parametrize(
    ("package", "needed"),
    [("fastapi", "opentelemetry-api"), ("pydantic", "typing-inspection"), ("starlette", "anyio")],
)
def test_a_package_is_there_already(package: str, needed: str) -> None:
    from importlib.metadata import requires

    assert needed in named([each for each in requires(package) or [] if "extra ==" not in each])


def imports() -> Iterator[tuple[Path, str, str]]:
    """Each import of the library: where it stands, the module, and the name that is taken from it."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                yield from ((path, node.module or "", each.name) for each in node.names)
            elif isinstance(node, ast.Import):
                yield from ((path, each.name, "") for each in node.names)


# Three modules are part of another package: pydantic's own core, PyYAML of pydantic-settings[yaml], and the parser
# of uvicorn[standard].
PARTS = {"pydantic_core": "pydantic", "yaml": "pydantic-settings", "httptools": "uvicorn"}


def test_every_package_that_is_imported_is_declared() -> None:
    library = project("template/chassis/pyproject.toml")["project"]
    declared = named([*library["dependencies"], *itertools.chain(*library["optional-dependencies"].values())])
    packages = {name: set(map(canonicalize_name, found)) for name, found in packages_distributions().items()}
    packages |= {name: {canonicalize_name(package)} for name, package in PARTS.items()}
    modules = {module.split(".")[0] for _, module, _ in imports()} - sys.stdlib_module_names - {"chassis"}
    assert {name for name in modules if not declared & packages.get(name, set())} == set()


def test_the_multiprocess_mode_of_the_client_is_not_used() -> None:
    assert [
        found for found in imports() if "prometheus_client.multiprocess" in f"{found[1]}.{found[2]}"
    ] == []


def test_a_worker_writes_its_snapshot_every_second() -> None:
    assert metrics_service.SNAPSHOT_SECONDS == 1


# 0006: layers


def test_no_import_goes_up() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_composed_settings_lie_above_the_features_and_below_the_bundles() -> None:
    contract = project("pyproject.toml")["tool"]["importlinter"]["contracts"][0]
    place = {
        name: number for number, line in enumerate(contract["layers"]) for name in line.split(" | ")
    }  # the highest first
    features = {
        "dispatch",
        "health",
        "ratelimit",
        "http_client",
        "security",
        "lifecycle",
        "logging",
        "metrics",
        "tracing",
    }
    assert place["bundles"] < place["service_settings"] < min(place[name] for name in features)
    assert max(place[name] for name in features) < place["settings"]


def test_each_feature_owns_its_group_of_settings() -> None:
    homes = {
        name: getattr(field.annotation, "__module__", "").split(".")
        for name, field in ServiceSettings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    assert {name for name, home in homes.items() if home == ["chassis", "service_settings"]} == {
        "service",
        "server",
    }
    others = [home for name, home in homes.items() if name not in {"service", "server"}]
    assert all(len(home) == 3 and home[2] == "settings" for home in others)
    assert len({home[1] for home in others}) == len(others)


# 0007, 0009: private names of the framework


def test_private_names_of_fastapi_are_imported_by_one_package() -> None:
    private = {
        path.parent.name
        for path, module, name in imports()
        if module.split(".")[0] in {"fastapi", "starlette"}
        and any(part.startswith("_") for part in (*module.split("."), name))
    }
    assert private == {"dispatch"}


def test_private_names_that_the_layer_reads_stand_in_one_module() -> None:
    found = {
        (path.name, node.attr)
        for path, tree in SOURCES.items()
        if path.parent.name == "middleware"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id == "self")
        if not (isinstance(node.value, ast.Attribute) and node.value.attr == "_layer")
    }
    assert found == {("framework.py", "_exception_handlers"), ("framework.py", "_status_handlers")}
    text = (LIBRARY / "middleware/framework.py").read_text(encoding="utf-8")
    assert 'attrgetter("_exit_callbacks")' in text


def test_the_package_that_repeats_the_framework_has_about_a_thousand_lines() -> None:
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (LIBRARY / "dispatch").glob("*.py")
    )
    assert 900 < lines < 1200
