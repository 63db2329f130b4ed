"""The service's own tools in the second tree."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.tooling import Lock, format_files, lock
from chassis.cli.update.tooling import test as run_tests

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a shell script on the PATH; no other uv or ruff is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing" / "python"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return install


@pytest.fixture
def locked(service: Path, commit: Callable[[Path], str]) -> Path:
    (service / "uv.lock").write_text("old\n")
    commit(service)
    return service


def test_a_lock_is_renewed(locked: Path, install: Install) -> None:
    install("uv", '[ "$1" = lock ] && echo new > uv.lock')
    assert lock(locked, locked, locked) == (Lock.RENEWED, "")
    assert (locked / "uv.lock").read_text() == "new\n"


def test_a_lock_of_the_repository_around_is_renewed_too(
    tmp_path: Path, install: Install, commit: Callable[[Path], str]
) -> None:
    (tmp_path / "mono/orders").mkdir(parents=True)
    (tmp_path / "mono/uv.lock").touch()
    commit(tmp_path / "mono")
    install("uv", "exit 0")
    assert lock(tmp_path / "mono/orders", tmp_path / "mono", tmp_path)[0] is Lock.RENEWED


def test_no_lock_is_made_where_none_is_committed(service: Path, install: Install) -> None:
    install("uv", "touch uv.lock")
    (service / "uv.lock").write_text("mine\n")
    assert lock(service, service, service) == (Lock.ABSENT, "")


def test_without_a_network_the_lock_is_stale(locked: Path, install: Install) -> None:
    install("uv", "echo 'error: Failed to fetch: https://example.com' >&2; exit 2")
    assert lock(locked, locked, locked) == (Lock.STALE, "the package index cannot be reached")


def test_without_uv_the_lock_is_stale(locked: Path, install: Install) -> None:
    install("other", "")
    assert lock(locked, locked, locked) == (Lock.STALE, "there is no uv here")


def test_dependencies_that_do_not_fit_together_stop_the_update(locked: Path, install: Install) -> None:
    install("uv", "seq 100; echo 'because orders depends on redis<5, no solution' >&2; exit 1")
    with pytest.raises(UpdateError, match=r"do not fit together.*pyproject\.toml") as raised:
        lock(locked, locked, locked)
    assert raised.value.output.endswith("because orders depends on redis<5, no solution")
    assert len(raised.value.output.splitlines()) == 40


def test_only_python_is_formatted(service: Path, install: Install) -> None:
    install("ruff", 'echo "$@" > called')
    format_files(service, ["Makefile", "pyproject.toml"])
    assert not (service / "called").exists()
    format_files(service, ["Makefile", "src/orders/app.py"])
    assert (service / "called").read_text() == "format --quiet -- src/orders/app.py\n"


def test_the_tests_run_by_make_with_the_uv_that_is_there(service: Path, install: Install) -> None:
    (service / "Makefile").write_text("test:\n\t@echo $(UV) $(UV_FROZEN)\n\t@exit 1\n")
    install("uv", "")
    done = run_tests(service, service, stale_lock=True)
    assert done is not None
    assert done.code != 0
    assert done.stdout.split()[0].endswith("bin/uv")
    assert done.stdout.split()[1:2] == ["1"]
    again = run_tests(service, service, stale_lock=False)
    assert again is not None
    assert len(again.stdout.split()) == 1


def test_the_uv_of_a_service_in_a_folder_of_any_name_runs(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = service / "our $(x) dir's" / ".uv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\necho ran $1\n")
    uv.chmod(0o755)
    monkeypatch.setattr("chassis.cli.update.tooling.find_uv", lambda _: uv)
    (service / "Makefile").write_text("test:\n\t@$(UV) sync\n")
    done = run_tests(service, service, stale_lock=False)
    assert done is not None
    assert done.stdout == "ran sync\n", done.stderr


@pytest.mark.parametrize("makefile", [None, "all:\n"])
def test_no_target_no_tests(service: Path, install: Install, makefile: str | None) -> None:
    (service / "Makefile").unlink()
    if makefile is not None:
        (service / "Makefile").write_text(makefile)
    assert run_tests(service, service, stale_lock=False) is None
