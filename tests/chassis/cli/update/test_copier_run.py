"""Copier is run in one version, wherever it comes from."""

import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chassis.cli.update import copier_run, git
from chassis.cli.update.errors import UpdateError

ROOT = Path(__file__).parents[4]

# Keeps its arguments, one in a line, and its environment; fails if one is "broken".
PROGRAM = """#!/bin/sh
env > "$(dirname "$0")/environment"
for argument; do
  if [ "$argument" = --version ]; then echo "copier 1.2.3"; exit; fi
  echo "$argument" >> "$(dirname "$0")/arguments"
  if [ "$argument" = --trust ]; then echo "what a migration says" >&2; fi
  if [ "$argument" = broken ]; then echo "why it is broken" >&2; exit 1; fi
done
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    copier_run._program.cache_clear()
    yield
    copier_run._program.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Take Copier out of this environment and put a program on the PATH, with nothing beside it."""

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing" / "python"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(name: str) -> Path:
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
        return folder / "arguments"

    return install


def test_the_pinned_version_is_the_one_that_is_tested_with() -> None:
    pins = re.findall(r'"copier==([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pins == [copier_run.PIN]


def update(tree: Path, service: Path, commit: str = "0.2.0") -> None:
    with copier_run.updating(tree, commit, {}, trust=False, service=service, temporary=tree) as finish:
        finish()


def test_the_one_of_this_environment(tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("port: 8000\n")
    with pytest.raises(UpdateError, match="could not render") as raised:
        copier_run.render(
            tmp_path / "no.git", "0.1.0", tmp_path / "answers.yml", tmp_path / "out", service=tmp_path
        )
    assert "no.git" in raised.value.output


def test_one_of_another_version_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.0.0")
    assert copier_run._program(tmp_path)[:2] != (sys.executable, "-m")


def test_the_one_on_the_path_if_it_is_pinned(
    install: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copier_run, "PIN", "1.2.3")
    arguments = install("copier")
    answers = {"bundles": "[a]", "port": "1"}
    options: Any = {"trust": True, "service": tmp_path, "temporary": tmp_path / "temporary"}
    with copier_run.updating(tmp_path, "0.2.0", answers, **options) as finish:
        assert finish() == "what a migration says"
    given = "--quiet --defaults --skip-answered --conflict inline --vcs-ref 0.2.0 --trust"
    data = "--data bundles=[a] --data port=1"
    assert " ".join(arguments.read_text().split()) == f"update {given} {data} ."
    environment = (arguments.parent / "environment").read_text().splitlines()
    assert f"TMPDIR={tmp_path}/temporary" in environment
    assert git.settings().items() <= dict(line.split("=", 1) for line in environment).items()


def test_else_uv_fetches_it(install: Callable[[str], Path], tmp_path: Path) -> None:
    install("copier")
    arguments = install("uv")
    copier_run.render(tmp_path / "t.git", "0.1.0", tmp_path / "answers", tmp_path / "out", service=tmp_path)
    assert (
        arguments.read_text().split()
        == (
            f"tool run --quiet copier=={copier_run.PIN} copy --quiet --defaults --data-file {tmp_path}/answers"
            f" --vcs-ref 0.1.0 {tmp_path}/t.git {tmp_path}/out"
        ).split()
    )


def test_without_either_it_says_what_to_install(install: Callable[[str], Path], tmp_path: Path) -> None:
    install("nothing")
    with pytest.raises(UpdateError, match="install uv, which fetches it"):
        update(tmp_path, tmp_path)


def test_a_failure_shows_why(install: Callable[[str], Path], tmp_path: Path) -> None:
    install("uv")
    with pytest.raises(UpdateError, match="could not update to version broken") as raised:
        update(tmp_path, tmp_path, "broken")
    assert raised.value.output == "why it is broken"


def test_uv_is_also_found_where_make_puts_it(
    install: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("nothing")
    service = tmp_path / "orders"
    own = service / ".uv/bin/uv"
    own.parent.mkdir(parents=True)
    own.write_text(PROGRAM)
    own.chmod(0o755)
    # Started in another folder, and from another one than the service's.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").mkdir()
    update(tmp_path / "tree", service)
    assert (own.parent / "arguments").read_text().startswith("tool\nrun\n")
