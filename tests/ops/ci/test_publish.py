"""deploy/ci/login.sh, publish.sh and sign.sh, with docker and cosign played: a registry cannot be had here."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

NAME = "registry.example.com/orders"
REVISION = "0123456789abcdef0123456789abcdef01234567"
MANIFEST = '{"schemaVersion": 2}'
# what `print` of the played program adds is part of the manifest here
DIGEST = "sha256:" + hashlib.sha256(f"{MANIFEST}\n".encode()).hexdigest()


@pytest.fixture
def service(render_pipelines: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(render_pipelines(), tmp_path / "orders"))


def test_a_commit_is_built_once_with_its_provenance(service: Path, played: Any) -> None:
    played.program("docker")
    done = played.run(
        service / "deploy" / "ci" / "publish.sh",
        cwd=service,
        answers={"docker buildx imagetools inspect": [1, MANIFEST], "docker buildx inspect": [1]},
        REVISION=REVISION,
        VERSION="v1.2.3+build/7",
        SOURCE="https://git.example.com/orders",
    )
    assert done.returncode == 0, done.stderr
    (build,) = [line for line in played.lines if " build " in line]
    assert "--push --provenance=mode=max" in build
    assert f"--build-arg REVISION={REVISION} --build-arg SOURCE=https://git.example.com/orders" in build
    assert f"--tag {NAME}:{REVISION} ." in build
    assert f"docker buildx imagetools create --tag {NAME}:1.2.3-build-7 {NAME}@{DIGEST}" in played.lines
    assert (service / "build" / "image.txt").read_text(encoding="utf-8") == f"{NAME}:1.2.3-build-7@{DIGEST}\n"


def test_a_release_of_a_commit_that_is_there_is_a_further_name(service: Path, played: Any) -> None:
    played.program("docker")
    done = played.run(
        service / "deploy" / "ci" / "publish.sh",
        cwd=service,
        answers={"docker buildx imagetools inspect": [MANIFEST]},
        REVISION=REVISION,
        VERSION="v1.2.3",
    )
    assert done.returncode == 0, done.stderr
    assert not any(" build " in line for line in played.lines)
    assert (service / "build" / "image.txt").read_text(encoding="utf-8") == f"{NAME}:1.2.3@{DIGEST}\n"


def test_a_failed_push_names_no_image(service: Path, played: Any) -> None:
    played.program("docker")
    done = played.run(
        service / "deploy" / "ci" / "publish.sh",
        cwd=service,
        answers={"docker buildx imagetools inspect": [1], "docker buildx build": [1]},
        REVISION=REVISION,
    )
    assert done.returncode != 0
    assert not (service / "build" / "image.txt").exists()


def test_a_build_without_its_commit_is_refused(service: Path, played: Any) -> None:
    played.program("docker")
    done = played.run(service / "deploy" / "ci" / "publish.sh", cwd=service)
    assert done.returncode != 0
    assert "Set REVISION" in done.stderr
    assert played.calls == []


def test_what_is_signed_and_attested_is_the_digest(service: Path, played: Any) -> None:
    played.program("cosign")
    (service / "build").mkdir(exist_ok=True)
    (service / "build" / "image.txt").write_text(f"{NAME}:1.2.3@{DIGEST}\n", encoding="utf-8")
    done = played.run(service / "deploy" / "ci" / "sign.sh", cwd=service)
    assert done.returncode == 0, done.stderr
    assert played.lines == [
        f"cosign sign --yes {NAME}:1.2.3@{DIGEST}",
        f"cosign attest --yes --type cyclonedx --predicate build/image.cdx.json {NAME}:1.2.3@{DIGEST}",
    ]


@pytest.mark.parametrize(
    ("registry", "host"),
    [("registry.example.com", "registry.example.com"), ("localhost:5000/team", "localhost:5000")],
)
def test_the_password_goes_to_the_host_of_the_image_alone(
    render_pipelines: Callable[..., Path], played: Any, registry: str, host: str
) -> None:
    service = render_pipelines(ci="gitlab", image_registry=registry)
    played.program("docker")
    script = service / "deploy" / "ci" / "login.sh"
    # Another registry than the project's own: the token of the job is not meant for it.
    foreign = {"CI_REGISTRY": "other.example.com", "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "token"}
    assert played.run(script, cwd=service, **foreign).returncode == 0
    assert played.calls == []
    assert played.run(script, cwd=service, **{**foreign, "CI_REGISTRY": host}).returncode == 0
    assert [(call["words"][-1], call["stdin"]) for call in played.calls] == [(host, "token")]


@pytest.mark.parametrize(("user", "code"), [("", 1), ("USER 10001\n", 0)])
def test_trivy_stops_at_what_its_settings_call_serious(
    service: Path, tool: Callable[[str], str], tmp_path: Path, user: str, code: int
) -> None:
    # The database of weaknesses cannot be had here. Another scanner shows that the file is read and obeyed: a root
    # user is of the severity HIGH, a missing health check is LOW.
    folder = tmp_path / "scanned"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f'FROM scratch\n{user}CMD ["x"]\n', encoding="utf-8")
    done = subprocess.run(
        [
            tool("trivy"),
            *("filesystem", "--config", service / "deploy" / "ci" / "trivy.yaml", "--scanners", "misconfig"),
            *("--skip-check-update", "--skip-version-check", "--quiet", folder),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    settings = yaml.safe_load((service / "deploy" / "ci" / "trivy.yaml").read_text(encoding="utf-8"))
    assert settings["scan"]["scanners"] == ["vuln"]
    assert settings["vulnerability"] == {"ignore-unfixed": True}


def test_trivy_accepts_what_the_owner_lists(
    service: Path, tool: Callable[[str], str], tmp_path: Path
) -> None:
    folder = tmp_path / "scanned"
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM scratch\nCMD ["x"]\n', encoding="utf-8")

    def scan() -> subprocess.CompletedProcess[str]:
        # as in the pipelines, which begin in the folder of the service
        return subprocess.run(
            [
                tool("trivy"),
                *("filesystem", "--config", "deploy/ci/trivy.yaml", "--scanners", "misconfig"),
                *("--skip-check-update", "--skip-version-check", "--quiet", "--format", "json", folder),
            ],
            cwd=service,
            check=False,
            capture_output=True,
            text=True,
        )

    refused = scan()
    assert refused.returncode == 1, refused.stderr
    (result,) = json.loads(refused.stdout)["Results"]
    found = [finding["ID"] for finding in result["Misconfigurations"]]
    (service / ".trivyignore").write_text("\n".join(found) + "\n", encoding="utf-8")
    accepted = scan()
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
