"""Services that never saw the template take it in, keep every file, and run inside the request layer.

The lines to change by hand are those of docs/how-to/adopt.md, read from there.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from promises import unmerged
from releases import ROOT, commit, git
from typer.testing import CliRunner

from chassis.cli.update.command import app as update_app
from chassis.service_settings import ServiceSettings
from chassis.settings import load

APPS = Path(__file__).parent / "apps"
# Later than every migration.
BEGUN, NEXT = "90.1.0", "90.2.0"
# New in the next version of the template; each application has one of the first three already.
ADDED = (".yamllint", "requirements.txt", "README.rst", "SUPPORT.md")
GUIDE = (ROOT / "docs/how-to/adopt.md").read_text(encoding="utf-8")

# What is like the rest of the template, and most of its work: the library, dashboards, manifests, runbooks.
MANY = re.compile("template/(chassis/src|deploy/(grafana|kubernetes)|docs/runbooks/(?!service.md))")
CI = ".github/workflows/ci.yml"
STANDARD = ".github/workflows/standard.yml"
ROLLOUT = ".github/workflows/rollout.yml"
BUILD = {"Makefile", "Dockerfile", ".dockerignore", CI, STANDARD, ROLLOUT}
CALLS_MAKE = {".devcontainer/devcontainer.json", ".pre-commit-config.yaml"}
OTHER_BUILDS = ("poetry.lock", "pdm.lock", "Pipfile", "setup.py")
# What a new service begins with, and by what tools read the code.
BEGINS = ("src/", "migrations/", "tests/", "README.md", "pyproject.toml", ".gitignore")
RULES = ("pytest.toml", "mypy.ini", "ruff.toml", ".editorconfig", ".gitattributes")


@dataclass(frozen=True)
class Shape:
    """One application, and what of the guide depends on it."""

    name: str
    package: str
    source: str  # the folder that packages are in
    application: str  # the line that imports it
    route: str
    answer: dict[str, object]


SHAPES = [
    Shape("flat", "bookings", ".", "from main import app", "/rooms/{name}", {"name": "attic", "seats": 4}),
    Shape(
        "poetry",
        "catalog",
        "src",
        "from catalog.main import app",
        "/products/{sku}",
        {"sku": "lamp", "title": "Desk lamp"},
    ),
    Shape(
        "equipped",
        "payments_service",
        "src",
        "from payments.app import create_app as build\n\napp = build()",
        "/payments/{number}",
        {"number": 7, "currency": "EUR"},
    ),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without most of its many files, and a next version that changes and adds some."""
    folder = tmp_path_factory.mktemp("template")
    listed = git(ROOT, "ls-files", "-cmo", "--exclude-standard", "-z", "copier.yml", "questions", "template")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not MANY.match(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    commit(folder)
    git(folder, "tag", BEGUN)
    for file in (folder / "template").rglob("*"):
        if file.is_file() and file.suffix in {".jinja", ".toml", ".yml", ".yaml", ".md"}:
            first, newline, rest = file.read_text(encoding="utf-8").partition("\n")
            file.write_text(f"{first}{newline}# changed\n{rest}", encoding="utf-8")
    for name in ADDED:
        (folder / "template" / name).write_text("# new in the template\n", encoding="utf-8")
    commit(folder)
    git(folder, "tag", NEXT)
    return folder


@pytest.fixture(scope="module")
def sketch(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions and the files that decide, in no repository: a render of it is cheap."""
    folder = tmp_path_factory.mktemp("sketch") / "template"
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".git", "deploy", *ADDED))
    for file in (folder / "template").rglob("*"):
        if file.is_file() and not file.name.startswith("{{ _copier_conf"):
            file.write_text("a file of the template\n", encoding="utf-8")
    return folder


def adopt(template: Path, folder: Path, version: str | None = None, **answers: Any) -> Path:
    """Copy the template onto a repository, as the guide says."""
    commit(folder)
    copier.run_copy(str(template), folder, data=answers, vcs_ref=version, defaults=True, quiet=True)
    return folder


@pytest.fixture
def service(shape: Shape, template: Path, tmp_path: Path) -> Path:
    """An application after the copy, nothing of which is committed yet."""
    folder = Path(shutil.copytree(APPS / shape.name, tmp_path / shape.name))
    return adopt(template, folder, BEGUN, service_name=shape.name.title(), package_name=shape.package)


@pytest.mark.ops
@every_shape
def test_an_adopted_application_is_served_inside_the_layer_and_updated(
    shape: Shape, service: Path, tmp_path: Path
) -> None:
    original = files(APPS / shape.name)
    run_tests(Path(shutil.copytree(APPS / shape.name, tmp_path / "before")))

    # After the copy: nothing of the application changed, the operations files are there.
    assert {path: content for path, content in files(service).items() if path in original} == original
    assert git(service, "status", "--porcelain", "--untracked-files=no") == ""
    new = files(service).keys() - original.keys()
    assert {"chassis/pyproject.toml", "config/defaults.yaml", "SECURITY.md"} <= new
    assert {path.split("/")[0] for path in new} >= {"deploy", "docs"}
    assert not {path for path in new if path.startswith(("src/", "tests/", "migrations/"))}
    assert new.isdisjoint(BUILD - {"Makefile", STANDARD} if shape.name == "equipped" else BUILD)
    run_tests(service)

    # After the lines by hand: the layer is around it.
    change_by_hand(service, shape)
    commit(service, "Adopt the standard")
    run_tests(service)
    with served(service, shape) as url:
        path = shape.route.replace(
            re.findall(r"{\w+}", shape.route)[0], str(next(iter(shape.answer.values())))
        )
        body, headers = get(f"{url}{path}")
        assert json.loads(body) == shape.answer
        assert len(headers["x-request-id"]) == 32
        assert json.loads(get(f"{url}/health/ready")[0])["status"] == "ready"
        metrics = get(f"{url}/metrics")[0]
        assert f'service_requests_total{{method="GET",route="{shape.route}",status="200"}} 1\n' in metrics
        assert f'service="{shape.name}"' in metrics
    examine(service)

    # After an update: what is kept is as it was, the rest is new, and what was deleted stays so.
    for name in ("CODEOWNERS", "renovate.json", STANDARD):
        (service / name).unlink(missing_ok=name == STANDARD)
    commit(service, "Not wanted")
    before = files(service)
    copier.run_update(service, vcs_ref=NEXT, defaults=True, overwrite=True, quiet=True)
    after = files(service)
    assert list(unmerged(service)) == []
    assert {path: content for path, content in after.items() if path in original} == {
        path: before[path] for path in original
    }
    assert b"# changed" in after["config/defaults.yaml"]
    assert "SUPPORT.md" in after
    appeared = after.keys() - before.keys()
    assert appeared == {"SUPPORT.md", ".yamllint", "requirements.txt", "README.rst"} - before.keys()


@pytest.mark.ops
@pytest.mark.parametrize("shape", SHAPES[2:], ids=["equipped"])
def test_a_dockerfile_is_handed_over(shape: Shape, service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")
    git(service, "rm", "--quiet", "Dockerfile", ".dockerignore")
    commit(service)
    command = re.search(r"chassis update --data '(handed_over=.*)]'", GUIDE)
    assert command is not None

    result = run_update(service, f"{command[1]}, tests/test_conformance.py, ruff.toml, mypy.ini]")
    git(service, "merge", "--quiet", "--ff-only", result["branch"])
    assert "# Owned by the template" in (service / "Dockerfile").read_text(encoding="utf-8")
    assert (service / ".dockerignore").exists()
    assert (service / "tests/test_conformance.py").exists()
    # A seed is for a new service.
    assert not (service / "ruff.toml").exists()
    assert not (service / "mypy.ini").exists()
    # What is the template's is renewed; what stays in `keep` is not.
    copier.run_update(service, vcs_ref=NEXT, defaults=True, overwrite=True, quiet=True)
    assert "# changed" in (service / "Dockerfile").read_text(encoding="utf-8")
    assert (service / ".github/workflows/ci.yml").read_bytes() == (
        APPS / "equipped/.github/workflows/ci.yml"
    ).read_bytes()
    commit(service)
    with pytest.raises(UserMessageError, match="go on naming Dockerfile"):
        copier.run_update(service, data={"handed_over": "[.dockerignore]"}, defaults=True, overwrite=True)
    assert git(service, "status", "--porcelain") == ""


def run_update(service: Path, data: str) -> dict[str, Any]:
    done = CliRunner().invoke(
        update_app, ["--directory", str(service), "--json", "--no-tests", "--data", data]
    )
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.ops
@pytest.mark.parametrize("shape", SHAPES[:1], ids=["flat"])
@pytest.mark.usefixtures("alone", "in_process")
def test_a_file_that_was_written_before_the_template_had_it_is_for_the_owner_to_decide(
    service: Path, run: Callable[..., dict[str, Any]]
) -> None:
    (service / "SUPPORT.md").write_text("mine\n", encoding="utf-8")
    commit(service)
    before = files(service)
    stopped = run(service, code=1)
    assert (stopped["status"], stopped["files"]) == ("unmerged", ["SUPPORT.md"])
    assert files(service) == before
    assert git(service, "branch", "--list").split() == ["*", "main"]

    kept = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))["keep"]
    answer = json.dumps([*kept, "SUPPORT.md", "SECURITY.md"])
    decided = run(service, "--data", f"keep={answer}")
    git(service, "merge", "--quiet", "--ff-only", decided["branch"])
    # The template rendered that one: it is not the owner's.
    assert before.keys() - files(service).keys() == {"SECURITY.md"}
    taken = run(service)
    git(service, "merge", "--quiet", "--ff-only", taken["branch"])
    assert files(service)["SUPPORT.md"] == b"mine\n"
    assert b"# changed" in files(service)["config/defaults.yaml"]


def test_each_way_to_install_names_the_library_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "shop", {"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n'})
    shutil.copytree(
        ROOT / "template/chassis", tmp_path / "shop/chassis", ignore=shutil.ignore_patterns("src")
    )
    ways = dict(re.findall(r"^ *\| (uv|Poetry|pip) \| .*?`([^`]*chassis\[?.*?)` \|$", GUIDE, re.MULTILINE))

    uv, *arguments = shlex.split(ways["uv"])
    options = ["--frozen", "--offline", "--quiet"]
    subprocess.run(
        [Path(sys.executable).parent / uv, *arguments, *options], cwd=tmp_path / "shop", check=True
    )
    project = tomllib.loads((tmp_path / "shop/pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dependencies"] == ["vendored-chassis[tracing]"]
    sources = {"vendored-chassis": {"path": "chassis", "editable": True}}
    assert project["tool"]["uv"] == {"sources": sources}

    (tmp_path / "shop/requirements.txt").write_text(ways["pip"] + "\n", encoding="utf-8")
    locking = ["pip", "compile", "--no-deps", "--no-header", "--offline", "requirements.txt"]
    done = subprocess.run(
        [Path(sys.executable).parent / uv, *locking],
        cwd=tmp_path / "shop",
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[0] == "-e ./chassis"
    assert "extra" not in done.stderr

    library = tomllib.loads((tmp_path / "shop/chassis/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert library["requires-python"] == ">=3.11"
    named = {"path": "chassis", "develop": True, "extras": ["tracing"]}
    assert tomllib.loads(ways["Poetry"]) == {library["name"]: named}
    assert set(named["extras"]) <= library["optional-dependencies"].keys()


def test_the_image_makes_the_service_reachable(tmp_path: Path) -> None:
    (line,) = re.findall(r"^ENV (.*)$", block("COPY chassis"), re.MULTILINE)
    variables = dict(word.split("=") for word in line.split())
    hosts = [
        load(ServiceSettings, environ=given, directory=tmp_path).server.host for given in ({}, variables)
    ]
    assert hosts == ["127.0.0.1", "0.0.0.0"]


def test_a_setting_of_the_owner_stands_beside_those_of_every_service(tmp_path: Path) -> None:
    module: dict[str, Any] = {}
    exec(block("(ServiceSettings)") + "\n    seats: int = 4\n", module)
    loaded = load(module["Settings"], environ={"SEATS": "9", "PORT": "9000"}, directory=tmp_path)
    assert (loaded.seats, loaded.server.port) == (9, 9000)


PROJECT = {"pyproject.toml": "[project]\n"}
SOURCE = PROJECT | {"src/shop/__init__.py": ""}
CASES = [
    # what is there, what arrives, what does not
    ({}, {"pyproject.toml", "README.md", "src/example_service/app.py", *BUILD, *CALLS_MAKE}, set()),
    ({"README.md": "mine\n", ".gitignore": "x\n"}, {"pyproject.toml", "ruff.toml", *BUILD}, set()),
    (SOURCE, BUILD | CALLS_MAKE, {"ruff.toml", "pytest.toml", ".editorconfig", "tests/test_conformance.py"}),
    (SOURCE | {"Dockerfile": "FROM x\n"}, {"Makefile", CI}, {".dockerignore"}),
    (
        SOURCE | {".github/workflows/tests.yaml": "on: push\n"},
        {"Makefile", STANDARD},
        {CI, ROLLOUT},
    ),
    (SOURCE | {"Makefile": "all:\n"}, {"Dockerfile"}, {CI, STANDARD, *CALLS_MAKE}),
    *[(SOURCE | {name: ""}, {"config/defaults.yaml"}, BUILD | CALLS_MAKE) for name in OTHER_BUILDS],
    (PROJECT | {"shop/__init__.py": ""}, {"config/defaults.yaml"}, BUILD | CALLS_MAKE),
    ({"requirements.txt": "", "src/shop/__init__.py": ""}, {"config/defaults.yaml"}, BUILD | CALLS_MAKE),
    (SOURCE | {".github/renovate.json5": "{}\n"}, BUILD, {"renovate.json"}),
    (SOURCE | {"docs/CODEOWNERS": "* @shop\n"}, BUILD, {"CODEOWNERS"}),
    (SOURCE | {"docs": "not a folder\n"}, BUILD, {"docs/runbooks/service.md"}),
    (SOURCE | {"config/we ird[*]!.yaml": "a: 1\n", "#x ": "\n"}, BUILD | {"config/service.yaml"}, set()),
]


@pytest.mark.parametrize(("there", "arrives", "stays_away"), CASES)
def test_what_arrives_depends_on_what_is_there(
    there: dict[str, str],
    arrives: set[str],
    stays_away: set[str],
    sketch: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "we [ird]* folder"
    write(folder, there)
    adopt(sketch, folder)
    found = {path: content.decode() for path, content in files(folder).items()}
    assert there.items() <= found.items()
    assert arrives - found.keys() == set()
    assert stays_away & found.keys() == set()
    recorded = yaml.safe_load(found[".copier-answers.yml"])
    assert set(there) - {"src/shop/__init__.py", "shop/__init__.py"} <= set(recorded["keep"])
    assert recorded["handed_over"] == []


def test_code_that_is_there_gets_no_seed_and_no_other_rules(sketch: Path, tmp_path: Path) -> None:
    code = PROJECT | {"main.py": ""}
    (tmp_path / "new").mkdir()
    write(tmp_path / "shop", code)
    new = files(adopt(sketch, tmp_path / "new", bundles=["database"])).keys()
    adopted = files(adopt(sketch, tmp_path / "shop", bundles=["database"])).keys()
    assert [name for name in BEGINS + RULES if not any(path.startswith(name) for path in new)] == []
    assert {path for path in adopted if path.startswith(BEGINS + RULES)} == {"pyproject.toml"}


def test_a_folder_is_made_also_for_files_that_are_left_alone(sketch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    write(folder, PROJECT | {"shop/__init__.py": ""})
    adopt(sketch, folder)
    for name in (".github/workflows", "tests"):
        assert list((folder / name).iterdir()) == []
    assert not re.search("github|tests", git(folder, "status", "--porcelain", "--untracked-files=all"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Dockerfile", "brackets"),
        ({"a": 1}, "brackets"),
        (None, "brackets"),
        (["/etc/passwd"], "below"),
        (["../other"], "below"),
        (["a\nb"], "below"),
        (["deploy/"], "below"),
        ([3], "below"),
        ("[chassis/src]", "every service"),
        ([".copier-answers.yml"], "every service"),
    ],
)
@pytest.mark.parametrize("question", ["keep", "handed_over"])
def test_what_is_no_list_of_paths_is_refused(
    question: str, answer: Any, reason: str, sketch: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserMessageError, match=reason) as refused:
        copier.run_copy(str(sketch), tmp_path / "x", data={question: answer}, defaults=True, quiet=True)
    assert question in str(refused.value)


def test_a_folder_of_the_librarys_name_is_refused(sketch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cars"
    write(folder, SOURCE | {"chassis/wheels.py": ""})
    with pytest.raises(UserMessageError, match="rename yours"):
        adopt(sketch, folder)
    assert git(folder, "status", "--porcelain") == ""


def test_the_copy_says_what_is_left_to_do(sketch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    write(folder, SOURCE)
    command = ["copy", "--defaults", "--data", "package_name=shop", sketch, folder]
    done = subprocess.run(
        [sys.executable, "-m", "copier", *command], capture_output=True, text=True, check=True
    )
    assert "uv add --no-workspace --editable './chassis[tracing]'" in done.stderr
    assert 'package = "shop"' in done.stderr
    assert "make run" not in done.stderr


def files(folder: Path) -> dict[str, bytes]:
    """The files of a repository, without what git and Python leave there."""
    found = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {
        path.as_posix(): file.read_bytes()
        for path, file in found.items()
        if not {".git", "__pycache__"} & set(path.parts)
    }


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir()
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def block(holds: str) -> str:
    """The code of the guide that holds a text."""
    found = [text for text in re.findall(r"```\w+\n(.*?)```", GUIDE, re.DOTALL) if holds in text]
    assert len(found) == 1, holds
    return re.sub("^ {3}", "", found[0], flags=re.MULTILINE)


def change_by_hand(service: Path, shape: Shape) -> None:
    """Follow the guide; what is installed here already stands for the first step."""
    package = service / shape.source / shape.package
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    modules = {
        "app.py": block("def create_app").replace("from main import app", shape.application),
        "settings.py": block("(ServiceSettings)"),
        "__main__.py": block("server.main"),
    }
    for name, text in modules.items():
        (package / name).write_text(text.replace("bookings", shape.package), encoding="utf-8")
    with (service / "pyproject.toml").open("a", encoding="utf-8") as project:
        project.write("\n" + block("[tool.chassis]").replace("bookings", shape.package))


def environment(service: Path, **variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(service), str(service / "src")])
    return kept | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | variables


def run_tests(service: Path) -> None:
    """Run the application's own tests in its own folder."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "--confcutdir=."],
        cwd=service,
        env=environment(service),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def examine(service: Path) -> None:
    """Let the doctor look at it. Nothing but the folder tells where its modules are."""
    variables = environment(service, PORT="0")
    del variables["PYTHONPATH"]
    chassis = Path(sys.executable).with_name("chassis")
    command = [chassis, "doctor", "--json"]
    done = subprocess.run(command, cwd=service, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    application = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "app"]
    assert [finding["level"] for finding in application] == ["ok"]


@contextmanager
def served(service: Path, shape: Shape) -> Iterator[str]:
    """Run the service as an image does by the guide; gives its address, which it logs."""
    command = re.search(r"^ *CMD (\[.*\])$", GUIDE, re.MULTILINE)
    assert command is not None
    python, *arguments = json.loads(command[1].replace("bookings", shape.package))
    assert python == "python"
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=service,
        env=environment(service, PORT="0", LOG_FORMAT="json", DRAIN_DELAY="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if '"serving"' in line:
                break
        else:
            pytest.fail("".join(lines))
        try:
            yield json.loads(lines[-1])["url"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
    assert process.returncode == 0


def get(url: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode(), {name.lower(): value for name, value in response.headers.items()}
