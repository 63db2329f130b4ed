"""The migration to 0.3.0 removes what 0.1.0 rendered of a bundle that is not chosen, and nothing that was edited."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "hooks" / "migrations"))
v0_3_0 = importlib.import_module("v0_3_0")
Refused = importlib.import_module("refused").Refused
Service = importlib.import_module("service").Service

RENDERED = b"# Owned by the template: about the database.\n"
RULES, PAGE, OTHER_PAGE = v0_3_0.FILES[2], v0_3_0.FILES[3], v0_3_0.FILES[4]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service without the bundle that has two of the files, as they were rendered, and one of its owner."""

    def rendered_by(_: object, version: str, name: str) -> bytes | None:
        assert version == "0.1.0"
        return RENDERED if name in v0_3_0.FILES else None

    monkeypatch.setattr(Service, "rendered_by", rendered_by)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    answers = {".copier-answers.yml": b"_commit: 0.2.0\nbundles: []\n"}
    write(tmp_path, answers | {RULES: RENDERED, PAGE: RENDERED, "docs/own.md": b"mine\n"})
    commit(tmp_path)
    return tmp_path


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change")


def migrate(folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(folder)
    for name, value in {"STAGE": stage, "VERSION_FROM": "0.2.0", "VERSION_CURRENT": "0.3.0"}.items():
        monkeypatch.setenv(name, value)
    return int(v0_3_0.main())


def test_what_nobody_edited_goes_and_is_reported(
    service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate(service, "before", monkeypatch) == 0
    assert git(service, "ls-files").splitlines() == [".copier-answers.yml", "docs/own.md"]
    assert not (service / RULES).exists()
    assert capsys.readouterr().err.splitlines() == [
        f"Migration 0.3.0: {name}: removed, because nothing uses it without the bundle database."
        for name in (RULES, PAGE)
    ]


def test_what_was_edited_stays_and_is_reported(
    service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(service, {PAGE: RENDERED + b"Call Ada.\n"})
    commit(service)
    migrate(service, "before", monkeypatch)
    assert (service / PAGE).read_bytes() == RENDERED + b"Call Ada.\n"
    assert f"{PAGE}: it is not as 0.1.0 rendered it, so it was left" in capsys.readouterr().err


def test_a_file_of_the_owner_with_such_a_name_stays_without_a_word(
    service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(service, {OTHER_PAGE: b"# Ours\n"})
    commit(service)
    migrate(service, "before", monkeypatch)
    assert (service / OTHER_PAGE).exists()
    assert OTHER_PAGE not in capsys.readouterr().err


def test_who_chose_the_bundle_keeps_everything(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(service, {".copier-answers.yml": b"_commit: 0.2.0\nbundles:\n- database\n"})
    commit(service)
    migrate(service, "before", monkeypatch)
    assert git(service, "status", "--porcelain") == ""


def test_without_the_first_release_everything_stays_and_is_reported(
    service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> bytes:
        raise Refused("version 0.1.0 of the template cannot be rendered: no such tag")

    monkeypatch.setattr(Service, "rendered_by", missing)
    migrate(service, "before", monkeypatch)
    assert git(service, "status", "--porcelain") == ""
    assert f"{RULES}: version 0.1.0 of the template cannot be rendered" in capsys.readouterr().err


def test_afterwards_the_index_is_as_it_was(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(service, "before", monkeypatch)
    migrate(service, "after", monkeypatch)
    assert git(service, "diff", "--cached", "--name-only") == ""
    assert git(service, "ls-files", "--deleted").splitlines() == [RULES, PAGE]


def test_a_file_that_copier_left_unmerged_stays_so(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = git(service, "rev-parse", f"HEAD:{PAGE}").strip()
    entries = [f"0 {'0' * 40}\t{PAGE}", *(f"100644 {blob} {stage}\t{PAGE}" for stage in (1, 2, 3))]
    subprocess.run(
        ["git", "update-index", "--index-info"],
        cwd=service,
        input="\n".join(entries),
        text=True,
        check=True,
    )
    migrate(service, "after", monkeypatch)
    assert len(git(service, "ls-files", "--unmerged").splitlines()) == 3


def test_outside_an_update_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, v0_3_0.__file__], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Migration 0.3.0: STAGE is not set")
