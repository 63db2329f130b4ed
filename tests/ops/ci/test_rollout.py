"""deploy/ci/rollout.sh. The cluster and the engine are played here; test_rollout_compose.py has a real engine."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

KUBERNETES = "registry.example.com/orders:1.2.3@sha256:" + "0" * 64
RUNNING = "sha256:" + "a" * 64
OVERLAY = (
    "kind: Namespace\n---\nmetadata:\n  namespace: orders-staging\n  image: registry.example.com/orders:1\n"
)
INSPECTED = f'[\n    {{\n        "Image": "{RUNNING}",\n        "Config": {{\n            "Image": "x"\n'


def test_shellcheck_finds_nothing(
    render_pipelines: Callable[..., Path], answers: dict[str, Any], check: Callable[..., str]
) -> None:
    for ci in ("github", "gitlab"):
        folder = render_pipelines(ci=ci, **answers) / "deploy" / "ci"
        scripts = sorted(folder.glob("*.sh"))
        assert bool(scripts) is (answers.get("deployment") != "none")
        if scripts:
            check("shellcheck", *scripts)
            assert all(os.access(script, os.X_OK) for script in scripts)


class TestKubernetes:
    """A cluster."""

    @pytest.fixture
    def roll_out(self, render_pipelines: Callable[..., Path], played: Any) -> Callable[..., Any]:
        service = render_pipelines()
        played.program("kubectl", "curl")

        def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
            answers = {"kubectl kustomize": [OVERLAY], **options.pop("answers", {})}
            done: subprocess.CompletedProcess[str] = played.run(
                service / "deploy" / "ci" / "rollout.sh", *arguments, cwd=service, answers=answers, **options
            )
            return done

        return run

    def test_it_releases_with_the_credentials_of_the_pipeline(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", KUBERNETES, KUBE_CONFIG="clusters: []")
        assert done.returncode == 0, done.stderr
        assert [line.split()[1] for line in played.lines] == ["kustomize", "apply", "apply", "rollout"]
        assert {call["KUBECONFIG"] for call in played.calls} == {"clusters: []\n"}

    def test_what_does_not_get_ready_is_taken_back(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", KUBERNETES, answers={"kubectl rollout status": [1, 0]})
        assert done.returncode == 1
        assert "kubectl rollout undo deployment/orders --namespace orders-staging" in played.lines
        assert "serves again" in done.stderr

    def test_a_kubeconfig_of_the_machine_is_used(self, roll_out: Any, played: Any, tmp_path: Path) -> None:
        # GitLab's variable of the type file is a path
        (tmp_path / "kubeconfig").write_text("clusters: [mine]\n", encoding="utf-8")
        done = roll_out("staging", KUBERNETES, KUBECONFIG=str(tmp_path / "kubeconfig"))
        assert done.returncode == 0, done.stderr
        assert {call["KUBECONFIG"] for call in played.calls} == {"clusters: [mine]\n"}

    @pytest.mark.parametrize("answer", [22, "302", "404"])
    def test_what_fails_the_smoke_test_is_taken_back(
        self, roll_out: Any, played: Any, answer: int | str
    ) -> None:
        done = roll_out(
            "staging", KUBERNETES, answers={"curl": [answer]}, SMOKE_URL="https://orders.test/health/ready"
        )
        assert done.returncode == 1
        assert next(line for line in played.lines if line.startswith("curl")).endswith("/health/ready")
        assert played.lines[-2].startswith("kubectl rollout undo")

    def test_back_undoes_and_applies_nothing(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", "--back")
        assert done.returncode == 0, done.stderr
        assert [line.split()[1:3] for line in played.lines][1:] == [
            ["rollout", "undo"],
            ["rollout", "status"],
        ]

    def test_what_passes_the_smoke_test_stays(self, roll_out: Any, played: Any) -> None:
        done = roll_out(
            "staging", KUBERNETES, answers={"curl": ["204"]}, SMOKE_URL="https://orders.test/health/ready"
        )
        assert done.returncode == 0, done.stderr
        assert not any("undo" in line for line in played.lines)

    @pytest.mark.parametrize(
        ("answers", "sentence"),
        [
            ({"kubectl rollout status": [1]}, "did not become ready"),
            ({"curl": [22]}, "does not serve"),
            ({"curl": ["302"]}, "does not serve"),
        ],
    )
    def test_back_that_fails_says_so(
        self, roll_out: Any, answers: dict[str, list[Any]], sentence: str
    ) -> None:
        done = roll_out("staging", "--back", answers=answers, SMOKE_URL="https://orders.test/health/ready")
        assert done.returncode == 3
        assert sentence in done.stderr

    def test_back_from_the_first_release_changes_nothing(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", "--back", answers={"kubectl rollout undo": [1]})
        assert done.returncode == 1
        assert played.lines[-1].startswith("kubectl rollout undo")

    @pytest.mark.parametrize("arguments", [["staging"], ["staging", ""], ["nowhere", KUBERNETES], []])
    def test_wrong_use_touches_nothing(self, roll_out: Any, played: Any, arguments: list[str]) -> None:
        assert roll_out(*arguments).returncode == 2
        assert played.calls == []


class TestCompose:
    """A machine with Docker."""

    NAME = "ghcr.io/acme/orders"
    SERVES: ClassVar[dict[str, list[Any]]] = {
        "docker compose ps": ["c0"] * 9,
        "docker inspect": [INSPECTED] * 9,
        "docker ps": ["c0"] * 9,
    }

    @pytest.fixture
    def roll_out(self, render_pipelines: Callable[..., Path], played: Any) -> Callable[..., Any]:
        service = render_pipelines(deployment="compose", bundles=["database"], image_registry="ghcr.io/acme")
        played.program("docker", "curl", "ssh")

        def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
            answers = {**self.SERVES, **options.pop("answers", {})}
            # the first match answers: what a test says comes before what is usual
            answers = {key: list(answers[key]) for key in sorted(answers, key=len, reverse=True)}
            variables = {"POSTGRES_PASSWORD": "x", "TIMEOUT": "0"} | options
            done: subprocess.CompletedProcess[str] = played.run(
                service / "deploy" / "ci" / "rollout.sh",
                *arguments,
                cwd=Path("/"),
                answers=answers,
                **variables,
            )
            return done

        return run

    def test_it_pulls_then_changes_the_database_then_replaces(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", f"{self.NAME}:1.2.3@sha256:00")
        assert done.returncode == 0, done.stderr
        changing = [call for call in played.calls if call["words"][2:3] in (["pull"], ["run"], ["up"])]
        assert [call["words"][2] for call in changing] == ["pull", "run", "up"]
        assert {(call["TAG"], call["ENVIRONMENT"]) for call in changing} == {("1.2.3@sha256:00", "staging")}
        assert changing[2]["words"][3:] == ["--detach", "--no-build", "--no-deps", "service"]

    def test_an_image_that_cannot_be_pulled_leaves_the_service_alone(
        self, roll_out: Any, played: Any
    ) -> None:
        # Compose has a number of its own for it
        done = roll_out("staging", f"{self.NAME}:2", answers={"docker compose pull": [18]})
        assert done.returncode == 1
        assert "is as it was" in done.stderr
        assert not any(" run " in line or " up " in line for line in played.lines)

    def test_a_failed_migration_leaves_the_service_alone(self, roll_out: Any, played: Any) -> None:
        done = roll_out("staging", f"{self.NAME}:2", answers={"docker compose run": [1]})
        assert done.returncode == 1
        assert "is as it was" in done.stderr
        assert not any(" up " in line for line in played.lines)

    @pytest.mark.parametrize(
        ("answers", "variables"),
        [
            ({"docker ps": ["", "c0", "c0"]}, {}),
            ({"docker compose up": [1, 0]}, {}),
            ({"curl": [22, "200"]}, {"SMOKE_URL": "https://orders.test/health/ready"}),
            ({"curl": ["308", "200"]}, {"SMOKE_URL": "http://orders.test/health/ready"}),
        ],
    )
    def test_what_is_not_well_is_taken_back(
        self, roll_out: Any, played: Any, answers: dict[str, list[Any]], variables: dict[str, str]
    ) -> None:
        done = roll_out("production", f"{self.NAME}:2", answers=answers, **variables)
        assert done.returncode == 1, done.stderr
        assert "serves again" in done.stderr
        assert f"docker tag {RUNNING} {self.NAME}:kept" in played.lines
        assert [call["TAG"] for call in played.calls if "up" in call["words"]] == ["2", "kept"]

    def test_what_cannot_be_taken_back_is_told(self, roll_out: Any) -> None:
        done = roll_out("production", f"{self.NAME}:2", answers={"docker compose up": [1, 1]})
        assert done.returncode == 3
        assert "could not be taken back" in done.stderr

    def test_the_first_rollout_has_nothing_to_go_back_to(self, roll_out: Any) -> None:
        done = roll_out(
            "production", f"{self.NAME}:1", answers={"docker compose ps": ["", "c0"], "docker ps": ["", ""]}
        )
        assert done.returncode == 3
        assert "no release before" in done.stderr

    def test_back_starts_the_release_before_and_leaves_the_database(self, roll_out: Any, played: Any) -> None:
        done = roll_out("production", "--back")
        assert done.returncode == 0, done.stderr
        assert [call["TAG"] for call in played.calls if "up" in call["words"]] == ["before"]
        assert not any(" run " in line or " pull " in line for line in played.lines)

    def test_back_without_a_release_before_changes_nothing(self, roll_out: Any, played: Any) -> None:
        done = roll_out("production", "--back", answers={"docker image inspect": [1]})
        assert done.returncode == 1
        assert not any(" up " in line for line in played.lines)

    def test_the_secrets_of_the_pipeline_reach_compose_and_ssh_and_no_output(
        self, roll_out: Any, played: Any
    ) -> None:
        done = roll_out(
            "staging",
            f"{self.NAME}:2",
            POSTGRES_PASSWORD="",
            DEPLOY_ENV="POSTGRES_PASSWORD=5ecret",
            DEPLOY_KEY="5ecret key",
            DEPLOY_KNOWN_HOSTS="host ssh-ed25519 AAAA",
            DOCKER_HOST="ssh://deploy@host",
            REGISTRY_USER="robot",
            REGISTRY_PASSWORD="5ecret-of-the-registry",
            answers={"docker compose --env-file": [0, 0, "c0", 0, "c0", "c0"]},
        )
        assert done.returncode == 0, done.stderr
        assert {call["DOCKER_HOST"] for call in played.calls} == {"ssh://deploy@host"}
        login = next(call for call in played.calls if "login" in call["words"])
        assert login["words"][2:] == ["--username", "robot", "--password-stdin", "ghcr.io"]
        assert login["stdin"] == "5ecret-of-the-registry"
        assert "5ecret" not in done.stdout + done.stderr + "".join(played.lines)

    def test_the_key_and_the_known_hosts_are_what_docker_finds(
        self, roll_out: Any, played: Any, tmp_path: Path
    ) -> None:
        programs = tmp_path / "played" / "bin"
        (programs / "real").mkdir()
        (programs / "docker").rename(programs / "real" / "docker")
        # docker reaches a machine by the ssh that it finds
        (programs / "docker").write_text(
            '#!/bin/sh\nssh deploy@host < /dev/null\nexec "$PLAYED/bin/real/docker" "$@"\n', encoding="utf-8"
        )
        (programs / "ssh").write_text(
            '#!/bin/sh\ncat "$2" "${6#*=}" > "$PLAYED/seen"\nstat -c %a "$2" >> "$PLAYED/seen"\n'
            'echo "$1 $3 $4 $5 ${6%=*} $7" >> "$PLAYED/seen"\n',
            encoding="utf-8",
        )
        (programs / "docker").chmod(0o755)
        done = roll_out(
            "staging",
            f"{self.NAME}:2",
            DEPLOY_KEY="the key",
            DEPLOY_KNOWN_HOSTS="host ssh-ed25519 AAAA",
            DOCKER_HOST="ssh://deploy@host",
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "played" / "seen").read_text(encoding="utf-8").splitlines() == [
            *("the key", "host ssh-ed25519 AAAA", "600"),
            "-i -o IdentitiesOnly=yes -o UserKnownHostsFile deploy@host",
        ]

    @pytest.mark.parametrize(
        ("arguments", "password", "sentence"),
        [
            (["staging"], "x", "ENVIRONMENT --back"),
            (["nowhere", "ghcr.io/acme/orders:1"], "x", "There is no environment nowhere"),
            (["staging", "ghcr.io/acme/other:1"], "x", "with a tag, and ghcr.io/acme/other:1 is none"),
            (["staging", "ghcr.io/acme/orders@sha256:00"], "x", "is none"),
            (["production", "ghcr.io/acme/orders:1"], "", "Set POSTGRES_PASSWORD"),
        ],
    )
    def test_wrong_use_touches_nothing(
        self, roll_out: Any, played: Any, arguments: list[str], password: str, sentence: str
    ) -> None:
        done = roll_out(*arguments, POSTGRES_PASSWORD=password)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert played.calls == []
