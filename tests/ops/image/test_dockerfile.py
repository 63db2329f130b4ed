"""The Dockerfile by itself: its rules, and what it promises without being built."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ops

ANSWER_SETS = [
    {},
    {"bundles": ["database"], "port": 65535, "python_version": "3.11"},
    {
        "deployment": "compose",
        "python_version": "3.14",
        "description": 'It\'s "100 % $HOME `id`" \\ ${A} $(B)',
    },
]


@pytest.fixture(params=ANSWER_SETS, ids=["default", "database", "strange"])
def dockerfile(request: pytest.FixtureRequest, render: Callable[..., Path]) -> Path:
    return render(**request.param) / "Dockerfile"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions, continued lines joined."""
    lines = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_hadolint_finds_nothing(dockerfile: Path, check: Callable[..., str]) -> None:
    assert check("hadolint", "--failure-threshold", "info", dockerfile) == ""


def test_the_process_is_started_without_a_shell(dockerfile: Path) -> None:
    command = json.loads(dict(instructions(dockerfile))["CMD"])
    assert command[:2] == ["python", "-m"]
    assert "ENTRYPOINT" not in dict(instructions(dockerfile))


def test_the_user_is_a_number_and_not_root(dockerfile: Path) -> None:
    assert dict(instructions(dockerfile))["USER"] == "10001:10001"


def test_every_base_is_an_exact_version(dockerfile: Path) -> None:
    stages = [rest.split() for name, rest in instructions(dockerfile) if name == "FROM"]
    own = {words[2] for words in stages if len(words) == 3}
    foreign = [words[0] for words in stages if words[0] not in own]
    assert [image for image in foreign if not re.search(r":\d+\.\d+\.\d+", image)] == []


def test_nothing_is_copied_that_the_context_leaves_out(dockerfile: Path) -> None:
    ignored = dockerfile.with_name(".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    wanted: set[str] = set()
    for name, rest in instructions(dockerfile):
        if name == "COPY" and "--from" not in rest:
            wanted |= {source.removeprefix("./") for source in rest.split()[:-1]}
        wanted |= set(re.findall(r"type=bind,source=([^,]+)", rest))
    assert [path for path in sorted(wanted) if not allowed & {path, *map(str, Path(path).parents)}] == []
    assert [path for path in sorted(allowed) if not any(want.startswith(path) for want in wanted)] == []


def test_trivy_finds_nothing_high(dockerfile: Path, check: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(dockerfile.read_bytes())
    offline = ("--skip-check-update", "--skip-version-check", "--quiet")
    report: dict[str, Any] = json.loads(check("trivy", "config", *offline, "--format", "json", tmp_path))
    found = [
        (finding["ID"], finding["Severity"], finding["Message"])
        for result in report["Results"]
        for finding in result.get("Misconfigurations", [])
    ]
    assert found == []
