"""The jobs themselves: act runs the steps of the rendered workflows on this machine.

What `uses:` names has to be fetched, so an empty action stands in for each. Everything after `run:` is real.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]

STAND_IN = """\
name: stand-in
description: stands in for an action that has to be fetched
runs:
  using: composite
  steps:
    - run: if [ -n "${KEPT:-}" ] && [ -d build ]; then cp build/* "$KEPT"; fi
      shell: sh
"""


# The weaknesses come from osv.dev, which cannot be reached here: that one call is left out, and said.
UV = """\
#!/bin/sh
if [ "$1" = audit ]; then echo "left out: uv $*"; exit 0; fi
exec "{uv}" "$@"
"""


@pytest.fixture(scope="module")
def path(wheel: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with uv, as after setup-uv."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "uv").write_text(UV.format(uv=wheel("uv")), encoding="utf-8")
    (folder / "uv").chmod(0o755)
    (folder / "uvx").symlink_to(wheel("uvx"))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def act(
    path: str, wheel: Callable[[str], str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a job of a workflow of a service."""
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    (stand_in / "action.yml").write_text(STAND_IN, encoding="utf-8")

    def run(
        service: Path, workflow: str, job: str, event: str, *options: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        file = service / ".github" / "workflows" / workflow
        actions = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v", file.read_text(encoding="utf-8"))
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        return subprocess.run(
            [
                wheel("act"),
                *(event, "--workflows", f".github/workflows/{workflow}", "--job", job),
                *(
                    "--platform",
                    "ubuntu-24.04=-self-hosted",
                    "--no-cache-server",
                    "--action-cache-path",
                    tmp_path / "act",
                ),
                *(word for action in set(actions) for word in ("--local-repository", f"{action}={stand_in}")),
                *options,
            ],
            cwd=service,
            env={
                **os.environ,
                "HOME": str(home),
                "UV_CACHE_DIR": cache(wheel("uv")),
                "PATH": path,
                **variables,
            },
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def cache(uv: str) -> str:
    """The cache of uv of this machine: HOME is another one in the jobs."""
    done = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def service(
    render: Callable[..., Path], check: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A service with its lock, committed."""
    folder = Path(shutil.copytree(render(), tmp_path_factory.mktemp("jobs") / "orders"))
    check("uv", "lock", "--quiet", cwd=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message=Begin"],
        ["remote", "add", "origin", "https://github.com/acme/orders.git"],
    ):
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)


@pytest.mark.parametrize(("job", "shown"), [("check", "Success: no issues found"), ("test", "TOTAL")])
def test_a_fresh_service_passes(service: Path, act: Callable[..., Any], job: str, shown: str) -> None:
    done = act(service, "ci.yml", job, "push")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Job succeeded" in done.stdout
    assert shown in done.stdout


def test_the_list_of_what_is_installed_holds_nothing_else(
    service: Path, act: Callable[..., Any], tmp_path: Path
) -> None:
    # what stands in for actions/upload-artifact puts the file there
    kept = tmp_path / "kept"
    kept.mkdir()
    done = act(service, "ci.yml", "dependencies", "push", KEPT=str(kept))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "left out: uv audit --preview-features audit --locked" in done.stdout
    listed = json.loads((kept / "python.cdx.json").read_text(encoding="utf-8"))
    names = {component["name"].lower() for component in listed["components"]}
    assert listed["bomFormat"] == "CycloneDX"
    assert {"fastapi", "uvicorn", "vendored-chassis"} <= names
    assert not {"pytest", "mypy", "ruff", "sqlalchemy", "boto3", "cyclonedx-bom"} & names


def test_a_lock_that_does_not_agree_stops_the_change(
    service: Path, act: Callable[..., Any], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(service, tmp_path / "changed"))
    project = changed / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace('    "pydantic",\n', '    "pydantic",\n    "anyio",\n'), encoding="utf-8")
    done = act(changed, "ci.yml", "check", "push")
    assert done.returncode != 0
    assert "Failure - Main uv.lock is there and agrees with pyproject.toml" in done.stdout


LOCKED = "uv.lock is there and agrees with pyproject.toml"
COVERED = "Coverage, in percent at least the repository variable COVERAGE_MINIMUM"


@pytest.mark.parametrize(
    ("job", "file", "text", "step"),
    [
        ("check", "uv.lock", None, LOCKED),
        ("check", "src/orders/late.py", "x   =  1\n", "make check"),
        ("check", "src/orders/late.py", "import os\n", "make check"),
        ("check", "src/orders/late.py", 'number: int = "one"\n', "make check"),
        ("test", "tests/test_late.py", "def test_it() -> None:\n    raise AssertionError\n", "Tests"),
        ("test", "src/orders/late.py", "value = 1\n" * 400, COVERED),
    ],
    ids=["no lock", "format", "rule", "type", "test", "coverage"],
)
def test_what_is_wrong_stops_the_change(
    *,
    service: Path,
    act: Callable[..., Any],
    tmp_path: Path,
    job: str,
    file: str,
    text: str | None,
    step: str,
) -> None:
    changed = Path(shutil.copytree(service, tmp_path / "changed"))
    if text is None:
        (changed / file).unlink()
    else:
        (changed / file).write_text(text, encoding="utf-8")
    done = act(changed, "ci.yml", job, "push")
    assert done.returncode != 0
    assert f"Failure - Main {step}" in done.stdout, done.stdout[-3000:]


def test_a_known_weakness_stops_the_change(
    service: Path, act: Callable[..., Any], path: str, tmp_path: Path
) -> None:
    # uv as it ends when OSV knows a weakness
    (tmp_path / "uv").write_text('#!/bin/sh\ntest "$1" != audit\n', encoding="utf-8")
    (tmp_path / "uv").chmod(0o755)
    done = act(service, "ci.yml", "dependencies", "push", PATH=f"{tmp_path}{os.pathsep}{path}")
    assert done.returncode != 0
    assert "Failure - Main Known weaknesses of what uv.lock names" in done.stdout


@pytest.mark.parametrize(
    ("image", "verbs"), [("", ["undo", "status"]), ("registry.example.com/orders:1", ["status"])]
)
def test_a_rollout_by_hand_reaches_the_cluster(
    *,
    service: Path,
    act: Callable[..., Any],
    played: Any,
    path: str,
    tmp_path: Path,
    image: str,
    verbs: list[str],
) -> None:
    played.program("kubectl")
    overlay = "metadata:\n  namespace: orders-staging\n  image: registry.example.com/orders:0\n"
    answers = tmp_path / "played" / "answers"
    answers.write_text(json.dumps({"kubectl kustomize": [overlay]}), encoding="utf-8")
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"inputs": {"environment": "staging", "image": image}}), encoding="utf-8")
    done = act(
        service,
        "rollout.yml",
        "rollout",
        "workflow_dispatch",
        *("--eventpath", str(event), "--secret", "KUBE_CONFIG=clusters: []"),
        PATH=f"{tmp_path / 'played' / 'bin'}{os.pathsep}{path}",
        PLAYED=str(tmp_path / "played"),
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert [call["words"][2] for call in played.calls if call["words"][1] == "rollout"] == verbs
    assert {call["KUBECONFIG"] for call in played.calls} == {"clusters: []\n"}
