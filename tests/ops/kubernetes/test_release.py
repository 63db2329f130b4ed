"""release.sh with a cluster that is played: manifests are built for real, what would reach a cluster is recorded."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

IMAGE = "registry.example.com/orders@sha256:" + "0" * 64

# Writes each call down and answers as the test said: a list of exit codes or texts for each verb.
PLAYED = """\
import json, os, subprocess, sys
folder, words = os.environ["PLAYED"], sys.argv[1:]
if words[0] == "kustomize":
    sys.exit(subprocess.run([os.environ["REAL_KUBECTL"], *words]).returncode)
call = {"words": words}
if "--filename" in words:
    call["objects"] = open(words[words.index("--filename") + 1]).read()
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
with open(folder + "/answers") as file:
    answers = json.load(file)
verb = " ".join(words[:2]) if words[0] == "rollout" else words[0]
answer = answers.get(verb, [0]).pop(0) if answers.get(verb) else 0
with open(folder + "/answers", "w") as file:
    json.dump(answers, file)
if isinstance(answer, str):
    print(answer)
    answer = 0
sys.exit(answer)
"""


class Cluster:
    """What was asked of it, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self.folder / "calls"
        return (
            [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            if file.exists()
            else []
        )

    @property
    def verbs(self) -> list[str]:
        """The calls without those that only look."""
        named = [" ".join(call["words"][: 2 if call["words"][0] == "rollout" else 1]) for call in self.calls]
        return [verb for verb in named if verb not in {"logs", "get"}]


@pytest.fixture
def release(
    tmp_path: Path, render: Callable[..., Path], tool: Callable[[str], str]
) -> Callable[..., tuple[subprocess.CompletedProcess[str], Cluster]]:
    """Run release.sh with these answers of the cluster."""
    played = tmp_path / "bin" / "kubectl"
    played.parent.mkdir()
    played.write_text(f"#!{sys.executable}\n{PLAYED}", encoding="utf-8")
    played.chmod(0o755)

    def released(
        *arguments: str,
        service: Path | None = None,
        answers: dict[str, list[Any]] | None = None,
        **variables: str,
    ) -> tuple[subprocess.CompletedProcess[str], Cluster]:
        (tmp_path / "answers").write_text(json.dumps(answers or {}), encoding="utf-8")
        folder = service or render(bundles=["database"])
        done = subprocess.run(
            [folder / "deploy" / "kubernetes" / "release.sh", *(arguments or ("staging", IMAGE))],
            env={
                "PATH": f"{played.parent}{os.pathsep}{os.environ['PATH']}",
                "PLAYED": str(tmp_path),
                "REAL_KUBECTL": tool("kubectl"),
                **variables,
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done, Cluster(tmp_path)

    return released


def test_shellcheck_finds_nothing(render: Callable[..., Path], check: Callable[..., str]) -> None:
    for answers in ({}, {"bundles": ["database"]}):
        assert check("shellcheck", render(**answers) / "deploy" / "kubernetes" / "release.sh") == ""


def test_settings_and_migration_come_before_the_pods(release: Callable[..., Any]) -> None:
    done, cluster = release(answers={"get": ["", "Complete"]})
    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["delete", "apply", "apply", "rollout status"]
    first, second = (call["words"] for call in cluster.calls if call["words"][0] == "apply")
    assert first[-2:] == ["--selector", "app.kubernetes.io/component!=service"]
    assert "--selector" not in second


def test_the_selector_leaves_out_what_serves_and_nothing_else(release: Callable[..., Any]) -> None:
    _, cluster = release(answers={"get": ["Complete"]})
    objects = list(yaml.safe_load_all(cluster.calls[-2]["objects"]))
    serving = {
        item["kind"]
        for item in objects
        if item["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "service"
    }
    assert serving == {"Deployment", "HorizontalPodAutoscaler"}


def test_every_container_runs_the_image_that_was_named(release: Callable[..., Any]) -> None:
    _, cluster = release(answers={"get": ["Complete"]})
    objects = list(yaml.safe_load_all(cluster.calls[-2]["objects"]))
    images = {
        item["kind"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
        for item in objects
        if item["kind"] in {"Deployment", "Job"}
    }
    assert images == {"Deployment": IMAGE, "Job": IMAGE}


def test_a_failed_migration_leaves_the_pods_alone(release: Callable[..., Any]) -> None:
    done, cluster = release(answers={"get": ["", "Failed"]})
    assert done.returncode == 1
    assert "the running release is as it was" in done.stderr
    assert cluster.verbs == ["delete", "apply"]


def test_a_release_that_is_never_ready_is_taken_back(release: Callable[..., Any]) -> None:
    done, cluster = release(answers={"get": ["Complete"], "rollout status": [1, 0]})
    assert done.returncode == 1
    assert cluster.verbs[-3:] == ["rollout status", "rollout undo", "rollout status"]
    assert "serves again" in done.stderr


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers each path /NUMBER with that status; a redirect leads to /200."""

    def do_GET(self) -> None:
        status = int(self.path[1:])
        self.send_response(status)
        if status in range(300, 400):
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def answering() -> Iterator[str]:
    """The address of a server that answers as its path says."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 0), (308, 1), (404, 1)])
def test_a_release_whose_smoke_test_is_not_2xx_is_taken_back(
    release: Callable[..., Any], answering: str, tmp_path: Path, status: int, code: int
) -> None:
    # curl waits longer before each further try
    real = shutil.which("curl")
    curl = tmp_path / "bin" / "curl"
    curl.write_text(f'#!/bin/sh\nexec {real} "$@" --retry 0\n', encoding="utf-8")
    curl.chmod(0o755)
    done, cluster = release(answers={"get": ["Complete"]}, SMOKE_URL=f"{answering}/{status}")
    assert done.returncode == code, done.stderr
    back = ["rollout undo", "rollout status"]
    assert (cluster.verbs[-2:] == back) is (code == 1)


def test_what_the_cluster_refuses_is_not_waited_for(release: Callable[..., Any]) -> None:
    done, cluster = release(answers={"get": ["Complete"], "apply": [0, 1]})
    assert done.returncode == 1
    assert cluster.verbs == ["delete", "apply", "apply"]


def test_a_release_that_cannot_be_taken_back_says_so(release: Callable[..., Any]) -> None:
    done, _ = release(answers={"get": ["Complete"], "rollout status": [1], "rollout undo": [1]})
    assert done.returncode == 3
    assert "could not be taken back" in done.stderr


def test_without_a_database_nothing_is_migrated(
    release: Callable[..., Any], render: Callable[..., Path]
) -> None:
    done, cluster = release("production", IMAGE, service=render())
    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["apply", "apply", "rollout status"]


@pytest.mark.parametrize("arguments", [["staging"], ["nowhere", IMAGE], ["staging", IMAGE, "more"]])
def test_wrong_use_touches_nothing(release: Callable[..., Any], arguments: list[str]) -> None:
    done, cluster = release(*arguments)
    assert done.returncode == 2
    assert cluster.calls == []
