"""Every answer set renders a whole, valid service and nothing that was not asked for."""

import configparser
import importlib.util
import itertools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.service_settings import ServiceSettings

Files = Callable[[Path], dict[str, Path]]
AnswersOf = Callable[[str], dict[str, Any]]

# What one answer brings. Nothing else of it may be there without the answer.
FEATURES: dict[tuple[str, str], dict[str, list[str]]] = {
    ("bundles", "database"): {
        "files": ["migrations/env.py", "tests/test_migrations.py", "src/{package}/items/models.py"],
        "words": ["alembic", "DATABASE_URL", "SQLAlchemy", "migrat"],
    },
    ("ci", "github"): {"files": [".github/workflows/ci.yml"], "words": ["actions/checkout"]},
    ("ci", "gitlab"): {"files": [".gitlab-ci.yml", ".gitlab/chassis.yml"], "words": ["gitlab"]},
    ("deployment", "kubernetes"): {
        "files": ["Dockerfile", ".dockerignore", "deploy/kubernetes/base/deployment.yaml"],
        "words": ["kustom", "kubernetes"],
    },
    ("deployment", "compose"): {
        "files": ["Dockerfile", ".dockerignore", "compose.yaml"],
        "words": ["compose.yaml", "Docker Compose"],
    },
}
ALWAYS = {
    ".copier-answers.yml",
    ".devcontainer/devcontainer.json",
    ".editorconfig",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CODEOWNERS",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "config/defaults.yaml",
    "config/service.yaml",
    "mypy.ini",
    "pyproject.toml",
    "pytest.toml",
    "renovate.json",
    "ruff.toml",
    "src/{package}/__init__.py",
    "src/{package}/__main__.py",
    "src/{package}/app.py",
    "src/{package}/items/__init__.py",
    "src/{package}/items/router.py",
    "src/{package}/items/schemas.py",
    "src/{package}/items/service.py",
    "src/{package}/settings.py",
    "tests/test_conformance.py",
    "tests/test_items.py",
}
# Languages of other tools that use the same braces: workflow expressions, and Go's templates.
BRACES_OF_THEIR_OWN = (
    ".github/",
    "deploy/alertmanager/",
    "deploy/grafana/",
    "deploy/kubernetes/components/monitoring/",
    "deploy/prometheus/",
)


def answer(answers: dict[str, Any], question: str) -> list[str]:
    """The values given to a question, as a list."""
    defaults = {"bundles": [], "ci": "github", "deployment": "kubernetes"}
    value = answers.get(question, defaults[question])
    return value if isinstance(value, list) else [value]


def package(answers: dict[str, Any], files: dict[str, Path]) -> str:
    """The name of the rendered package."""
    return str(
        tomllib.loads(files["pyproject.toml"].read_text(encoding="utf-8"))["tool"]["chassis"]["package"]
    )


def test_what_is_always_there_is_there(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf
) -> None:
    files = own_files(service)
    name = package(answers_of(answer_set), files)
    assert {path.format(package=name) for path in ALWAYS} <= files.keys()


def test_what_was_chosen_is_there_and_nothing_else(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf
) -> None:
    files = own_files(service)
    answers = answers_of(answer_set)
    name = package(answers, files)
    chosen = {
        path.format(package=name)
        for (question, value), feature in FEATURES.items()
        if value in answer(answers, question)
        for path in feature["files"]
    }
    possible = {path.format(package=name) for feature in FEATURES.values() for path in feature["files"]}
    assert possible & files.keys() == chosen


def test_no_file_speaks_of_what_was_not_chosen(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf
) -> None:
    answers = answers_of(answer_set)
    free_text = [str(answers[name]) for name in ("description", "service_name", "team") if name in answers]
    strangers = []
    for path, file in own_files(service).items():
        text = file.read_text(encoding="utf-8")
        for given in free_text:
            text = text.replace(given, "")
        for (question, value), feature in FEATURES.items():
            if value not in answer(answers, question) and path != ".copier-answers.yml":
                strangers += [f"{path}: {word}" for word in feature["words"] if word in text]
    assert strangers == []


def test_no_file_is_empty_or_left_over(service: Path, own_files: Files) -> None:
    files = own_files(service)
    assert [path for path, file in files.items() if not file.read_bytes().strip()] == []
    assert [
        path for path in files if re.search(r"\.(pyc|jinja|orig|rej)$|__pycache__|_cache/|egg-info", path)
    ] == []


def test_no_template_syntax_is_left(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf
) -> None:
    description = str(answers_of(answer_set).get("description", ""))
    for path, file in own_files(service).items():
        text = file.read_text(encoding="utf-8")
        if description:
            text = "".join(line for line in text.splitlines(keepends=True) if "HOME" not in line)
        marks = ("{%", "{#", "#%") if path.startswith(BRACES_OF_THEIR_OWN) else ("{{", "{%", "{#", "#%")
        assert [mark for mark in marks if mark in text] == [], path


def test_every_file_ends_with_one_newline_and_no_trailing_space(service: Path, own_files: Files) -> None:
    for path, file in own_files(service).items():
        text = file.read_text(encoding="utf-8")
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not re.search(r"[ \t]$", text, re.MULTILINE), path
        assert "\n\n\n\n" not in text, path


def test_every_file_that_can_says_whose_it_is(service: Path, own_files: Files) -> None:
    python_is_yours = re.compile(r"(src|tests|migrations)/")
    for path, file in own_files(service).items():
        if path.endswith(".json"):
            continue  # JSON has no comments
        lines = file.read_text(encoding="utf-8").splitlines()
        first = lines[1] if lines[0].startswith("#!") else lines[0]
        if path == "tests/test_conformance.py" or not python_is_yours.match(path):
            assert re.match(r"(# |<!-- |\"\"\")(Owned by the template|Yours|Merged): ", first), path


def test_every_data_file_parses(service: Path, own_files: Files) -> None:
    for path, file in own_files(service).items():
        text = file.read_text(encoding="utf-8")
        if path.endswith(".toml"):
            tomllib.loads(text)
        elif path.endswith((".yaml", ".yml")):
            list(yaml.load_all(text, yaml.CSafeLoader))
        elif path.endswith(".json"):
            json.loads(text)
        elif path.endswith(".ini"):
            configparser.ConfigParser().read_string(text)
        elif path.endswith(".py"):
            compile(text, path, "exec")


def test_make_reads_the_makefile_and_lists_every_target(service: Path) -> None:
    listed = subprocess.run(["make", "help"], cwd=service, check=True, capture_output=True, text=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
    assert {"help", "install", "lock", "run", "test", "check", "fmt", "clean"} <= targets
    runnable = sorted(targets - {"migration", "image"})
    subprocess.run(["make", "--dry-run", *runnable], cwd=service, check=True, capture_output=True)


MODULE = "run --no-sync python -m"
COMMANDS = {
    ("run",): [f"{MODULE} example_service"],
    ("test",): ["run --no-sync pytest"],
    ("check",): [
        *(
            "run --no-sync ruff format --check .",
            "run --no-sync ruff check .",
            "run --no-sync mypy src tests",
        ),
    ],
    ("migrate",): [f"{MODULE} chassis.bundles.database upgrade"],
    ("migration", "m=add price"): [f"{MODULE} chassis.bundles.database revision --message add price"],
    ("update",): ["run --no-sync chassis update"],
    ("update", "CHECK=1"): ["run --no-sync chassis update --check"],
    ("update", "ARGS=--data bundles=[database]"): ["run --no-sync chassis update --data bundles=[database]"],
}


@pytest.fixture(scope="module")
def installed(render: Callable[..., Path]) -> Path:
    """A service that has a folder of packages, though an empty one."""
    service = render(library=False, bundles=["database"])
    (service / ".venv").mkdir()
    return service


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_target_runs_the_command_that_the_documents_name(
    arguments: tuple[str, ...], installed: Path
) -> None:
    command = ["make", "--silent", "UV=echo", *arguments]
    done = subprocess.run(command, cwd=installed, check=True, capture_output=True, text=True)
    printed = [line.rstrip() for line in done.stdout.splitlines() if not line.startswith("sync ")]
    assert printed == COMMANDS[arguments]


def test_a_migration_needs_words(installed: Path) -> None:
    command = ["make", "--silent", "UV=echo", "migration"]
    done = subprocess.run(command, cwd=installed, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert 'Say what changes: make migration m="add price"' in done.stdout


def test_a_target_of_yours_joins_the_others(render: Callable[..., Path]) -> None:
    service = render(library=False)
    (service / "service.mk").write_text("hello: ## Say hello\n\t@echo hello from ours\n", encoding="utf-8")
    for target, expected in (("hello", "hello from ours"), ("help", "make hello")):
        done = subprocess.run(["make", target], cwd=service, check=True, capture_output=True, text=True)
        assert expected in done.stdout


def test_the_dockerfile_copies_what_exists_and_labels_hold_the_answers(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf
) -> None:
    files = own_files(service)
    if "Dockerfile" not in files:
        return
    instructions = dockerfile(files["Dockerfile"].read_text(encoding="utf-8"))
    names = [name for name, _ in instructions]
    assert names[0] == "FROM"
    assert set(names) <= {
        "FROM",
        "ARG",
        "ENV",
        "WORKDIR",
        "RUN",
        "COPY",
        "LABEL",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
    }
    for arguments in (
        arguments for name, arguments in instructions if name == "COPY" and "--from" not in arguments
    ):
        sources = [source for source in arguments.split()[:-1] if source != "uv.lock"]
        assert [source for source in sources if not (service / source).exists()] == []
    labels = shlex.split(next(arguments for name, arguments in instructions if name == "LABEL"))
    values = dict(label.replace("\\$", "$").split("=", 1) for label in labels)
    recorded = yaml.safe_load(files[".copier-answers.yml"].read_text(encoding="utf-8"))
    assert values["org.opencontainers.image.description"] == recorded["description"]
    assert values["org.opencontainers.image.vendor"] == recorded["team"]


def dockerfile(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    joined = re.sub(
        r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    )
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_kubernetes_resources_exist_and_names_are_valid(service: Path) -> None:
    base = service / "deploy" / "kubernetes" / "base"
    if not base.exists():
        return
    for folder in (base, *(service / "deploy" / "kubernetes" / "overlays").iterdir()):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        assert [name for name in kustomization["resources"] if not (folder / name).exists()] == []
    for file in base.glob("*.yaml"):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        name = document.get("metadata", {}).get("name", "x")
        assert isinstance(name, str)
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)


def test_the_configuration_holds_the_answers(service: Path, own_files: Files) -> None:
    files = own_files(service)
    recorded = yaml.safe_load(files[".copier-answers.yml"].read_text(encoding="utf-8"))
    defaults = yaml.safe_load(files["config/defaults.yaml"].read_text(encoding="utf-8"))
    project = tomllib.loads(files["pyproject.toml"].read_text(encoding="utf-8"))["project"]
    assert defaults == {
        "service": {
            "name": recorded["service_slug"],
            "description": recorded["description"],
            "team": recorded["team"],
        },
        "server": {"port": recorded["port"]},
    }
    assert project["description"] == recorded["description"]
    assert project["name"] == recorded["service_slug"]
    assert project["scripts"] == {recorded["service_slug"]: f"{recorded['package_name']}.__main__:main"}


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_image_the_objects_and_ci_have_what_was_answered(ci: str, render: Callable[..., Path]) -> None:
    service = render(
        library=False,
        ci=ci,
        service_slug="order-history",
        python_version="3.12",
        team="Shop",
        port=9001,
        image_registry="ghcr.io/acme/shop",
        team_email="shop@example.com",
    )
    pipeline = service / {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab/chassis.yml"}[ci]
    texts = {
        name: (service / name).read_text(encoding="utf-8")
        for name in ("Dockerfile", "Makefile", "README.md", "CODEOWNERS")
    }
    pythons = re.findall(
        r"python-version: \"(.*)\"|image: python:(\d+\.\d+)", pipeline.read_text(encoding="utf-8")
    )
    assert {version for found in pythons for version in found if version} == {"3.12"}
    assert set(re.findall(r"FROM python:(\d+\.\d+)", texts["Dockerfile"])) == {"3.12"}
    assert "EXPOSE 9001" in texts["Dockerfile"]
    assert "IMAGE ?= ghcr.io/acme/shop/order-history\n" in texts["Makefile"]
    assert "Owned by Shop (<shop@example.com>)." in texts["README.md"].splitlines()
    assert "* shop@example.com" in texts["CODEOWNERS"].splitlines()
    file = service / "deploy" / "kubernetes" / "base" / "deployment.yaml"
    deployment = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert deployment["metadata"]["name"] == "order-history"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "ghcr.io/acme/shop/order-history"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 9001, "management": 9090}


def test_the_answers_file_holds_every_answer_and_renders_the_same_again(
    answer_set: str, service: Path, own_files: Files, answers_of: AnswersOf, render: Callable[..., Path]
) -> None:
    recorded = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert recorded["_commit"] == "9.1.0"
    assert {name: recorded[name] for name in answers_of(answer_set)} == answers_of(answer_set)
    if not answer_set.startswith("pairs"):
        return
    again = render(
        library=False, **{name: value for name, value in recorded.items() if not name.startswith("_")}
    )
    one, two = own_files(service), own_files(again)
    assert one.keys() == two.keys()
    assert [path for path in one if one[path].read_bytes() != two[path].read_bytes()] == []


@pytest.mark.parametrize("name", ["all-off", "all-on"])
def test_the_library_is_whole_and_the_same_in_every_service(
    name: str, template: Path, answers_of: AnswersOf, render: Callable[..., Path]
) -> None:
    original, rendered = template / "template" / "chassis", render(**answers_of(name)) / "chassis"
    expected = {path.relative_to(original) for path in original.rglob("*") if path.is_file()}
    assert {path.relative_to(rendered) for path in rendered.rglob("*") if path.is_file()} == expected
    assert [
        path for path in expected if (original / path).read_bytes() != (rendered / path).read_bytes()
    ] == []
    assert [path for path in expected if re.search(r"\.pyc$|__pycache__|_cache|\.jinja$", str(path))] == []


def test_the_library_carries_the_licence_of_the_template(template: Path, pytestconfig: pytest.Config) -> None:
    licence = (pytestconfig.rootpath / "LICENSE").read_bytes()
    assert licence.startswith(b"MIT License")
    library = template / "template" / "chassis"
    assert (library / "LICENSE").read_bytes() == licence
    project = tomllib.loads((library / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])


def test_every_pair_of_answers_is_rendered(
    pytestconfig: pytest.Config, answers_of: AnswersOf, matrix_names: list[str]
) -> None:
    questions: dict[str, Any] = yaml.safe_load(
        (pytestconfig.rootpath / "copier.yml").read_text(encoding="utf-8")
    )
    wanted: dict[str, list[tuple[str, Any]]] = {}
    for name, details in questions.items():
        if name.startswith("_") or details["type"] == "yaml":  # what is computed is not asked
            continue
        offered = details.get("choices")
        values = list(offered.values()) if isinstance(offered, dict) else offered
        if details.get("multiselect"):
            wanted |= {
                f"{name} {value}": [(name, (value, there)) for there in (False, True)] for value in values
            }
        else:
            wanted[name] = [(name, value) for value in values or ("default", "other")]
    rendered = [answers_of(name) for name in matrix_names]

    def holds(answers: dict[str, Any], name: str, value: Any) -> bool:
        if isinstance(value, tuple):
            return (value[0] in answers.get(name, [])) is value[1]
        if value in {"default", "other"}:
            return (name in answers) is (value == "other")
        return bool(answers.get(name, questions[name]["default"]) == value)

    uncovered = [
        (left, right)
        for one, two in itertools.combinations(wanted.values(), 2)
        for left, right in itertools.product(one, two)
        if not any(holds(answers, *left) and holds(answers, *right) for answers in rendered)
    ]
    assert uncovered == []


def test_the_example_of_the_environment_lists_every_setting(
    template: Path, pytestconfig: pytest.Config
) -> None:
    bundles = {"database": "chassis.bundles.database:DatabaseSettings"}
    questions = yaml.safe_load((pytestconfig.rootpath / "copier.yml").read_text(encoding="utf-8"))
    assert bundles.keys() == set(questions["bundles"]["choices"].values())
    spec = importlib.util.spec_from_file_location(
        "reference", pytestconfig.rootpath / "hooks" / "reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    groups = {}
    for bundle, place in bundles.items():
        module, _, name = place.partition(":")
        groups[bundle] = getattr(importlib.import_module(module), name)
    generated = reference.env_example(ServiceSettings, groups)
    assert (template / "template" / ".env.example.jinja").read_text(encoding="utf-8") == generated


def test_alerts_link_to_the_runbooks_of_the_repository(render: Callable[..., Path]) -> None:
    for ci, pages in (("github", "/blob/main/docs/runbooks/"), ("gitlab", "/-/blob/main/docs/runbooks/")):
        address = "https://git.example.com/shop/orders"
        folder = render(library=False, ci=ci, repository_url=address, bundles=["database"])
        for rules in ("chassis.yml", "database.yml"):
            text = (folder / "deploy" / "prometheus" / "rules" / rules).read_text(encoding="utf-8")
            links = re.findall(r"runbook_url: \"?([^\s\"]+)", text)
            assert links
            assert all(link.startswith(address + pages) for link in links)
            assert all((folder / "docs" / "runbooks" / link.rpartition("/")[2]).is_file() for link in links)
