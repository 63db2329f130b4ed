"""A release is one checked commit; a wrong state is refused and changes nothing."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 9, 30, 15, tzinfo=UTC)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def release() -> ModuleType:
    return load("release")


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with all that a release touches, whose git knows no other configuration."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for variable in ("EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    package = tmp_path / "template/chassis/src/chassis"
    package.mkdir(parents=True)
    (package / "release.py").write_text((ROOT / "template/chassis/src/chassis/release.py").read_text())
    (tmp_path / "template/chassis/pyproject.toml").write_text('[project]\nversion = "0.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## Unreleased\n\n- The first.\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "config", "user.name", "Test")
    git(tmp_path, "config", "user.email", "test@example.com")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def note(repository: Path, text: str) -> None:
    changelog = repository / "CHANGELOG.md"
    head, rest = changelog.read_text().split("\n\n", 1)
    changelog.write_text(f"{head}\n\n## Unreleased\n\n- {text}\n\n{rest}")
    git(repository, "commit", "--quiet", "--all", "--message", "Note")


def test_a_release_changes_the_version_everywhere(release: ModuleType, repository: Path) -> None:
    release.make_release(repository, "0.1.0", NOW)
    module = (repository / "template/chassis/src/chassis/release.py").read_text()
    assert 'VERSION = "0.1.0"' in module
    assert "RELEASED_AT = datetime(2026, 11, 21, 9, 30, 15, tzinfo=UTC)" in module
    assert 'version = "0.1.0"' in (repository / "template/chassis/pyproject.toml").read_text()
    assert "## 0.1.0 (2026-11-21)\n\n- The first." in (repository / "CHANGELOG.md").read_text()
    assert git(repository, "tag", "--list").split() == ["0.1.0"]
    assert git(repository, "status", "--porcelain") == ""


def test_the_record_holds_the_digest_of_what_was_released(release: ModuleType, repository: Path) -> None:
    release.make_release(repository, "0.1.0", NOW)
    record = json.loads((repository / "template/chassis/releases.json").read_text())
    from chassis.release import digest

    assert record["releases"] == [
        {
            "version": "0.1.0",
            "released_at": "2026-11-21T09:30:15Z",
            "digest": digest(repository / "template/chassis/src/chassis"),
        }
    ]
    assert list(record["files"]) == ["release.py"]


def test_python_and_git_are_enough(repository: Path, tmp_path: Path) -> None:
    hooks, tools = repository / "hooks", tmp_path / "tools"
    hooks.mkdir()
    shutil.copy(ROOT / "hooks/release.py", hooks)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "The script")
    tools.mkdir()
    (tools / "git").symlink_to(str(shutil.which("git")))
    (repository / ".git/info/exclude").write_text("/tools/\n")
    # Without the packages that are installed here.
    command = [sys.executable, "-I", "-S", "hooks/release.py", "0.1.0"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=repository, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
        )

    made, refused = run(), run()
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith("Publish: git push --follow-tags\n")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Not released: the tag 0.1.0 exists: a release is never made twice.\n",
    )


def test_a_push_takes_the_tag_along(release: ModuleType, repository: Path, tmp_path: Path) -> None:
    release.make_release(repository, "0.1.0", NOW)
    origin = tmp_path.with_name(f"{tmp_path.name}-origin.git")
    git(repository, "init", "--quiet", "--bare", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    git(repository, "config", "push.default", "current")
    git(repository, "push", "--quiet", "--follow-tags")
    assert git(origin, "tag", "--list").split() == ["0.1.0"]
    assert git(origin, "rev-parse", "main") == git(repository, "rev-parse", "0.1.0^{}")


def test_no_release_that_was_made_was_changed(release: ModuleType) -> None:
    record = json.loads((ROOT / release.RECORD).read_text(encoding="utf-8"))["releases"]
    made = release.released_versions(ROOT)
    assert {found.version for found in made} >= {entry["version"] for entry in record}
    for entry in record:
        (commit,) = [found.commit for found in made if found.version == entry["version"]]
        then = json.loads(git(ROOT, "show", f"{commit}:{release.RECORD}"))
        assert then["releases"][-1] == entry
        if git(ROOT, "tag", "--list", entry["version"]):
            assert git(ROOT, "rev-parse", f"{entry['version']}^{{}}").strip() == commit


def test_releases_are_read_from_history_without_tags(release: ModuleType, repository: Path) -> None:
    first = release.make_release(repository, "0.1.0", NOW)
    note(repository, "The second.")
    second = release.make_release(repository, "0.2.0", NOW)
    git(repository, "tag", "--delete", "0.1.0", "0.2.0")
    assert release.released_versions(repository) == [first, second]


def test_a_clone_without_tags_gets_those_of_earlier_releases_again(
    release: ModuleType, repository: Path
) -> None:
    first = release.make_release(repository, "0.1.0", NOW)
    note(repository, "The second.")
    second = release.make_release(repository, "0.2.0", NOW)
    git(repository, "tag", "--delete", "0.1.0", "0.2.0")
    note(repository, "The third.")
    between = git(repository, "rev-parse", "--short", "HEAD").strip()
    third = release.make_release(repository, "0.3.0", NOW)
    assert release.tag_again(repository, third) == ["0.1.0", "0.2.0"]
    for made in (first, second, third):
        assert git(repository, "rev-parse", f"{made.version}^{{}}").strip() == made.commit
    assert git(repository, "describe", between).startswith("0.2.0-1-g")


def test_a_tag_that_was_removed_alone_stays_removed(release: ModuleType, repository: Path) -> None:
    release.make_release(repository, "0.1.0", NOW)
    note(repository, "The second.")
    release.make_release(repository, "0.2.0", NOW)
    git(repository, "tag", "--delete", "0.2.0")
    note(repository, "The third.")
    third = release.make_release(repository, "0.3.0", NOW)
    assert release.tag_again(repository, third) == []
    assert git(repository, "tag", "--list").split() == ["0.1.0", "0.3.0"]


def test_a_patch_of_an_older_line_is_found_too(release: ModuleType, repository: Path) -> None:
    release.make_release(repository, "0.1.0", NOW)
    git(repository, "branch", "line-0.1")
    note(repository, "The second.")
    release.make_release(repository, "0.2.0", NOW)
    git(repository, "switch", "--quiet", "line-0.1")
    note(repository, "A patch.")
    release.make_release(repository, "0.1.1", NOW)
    git(repository, "switch", "--quiet", "main")
    assert sorted(found.version for found in release.released_versions(repository)) == [
        "0.1.0",
        "0.1.1",
        "0.2.0",
    ]


def dirty(repository: Path) -> None:
    (repository / "stray").touch()


def tagged(repository: Path) -> None:
    git(repository, "tag", "0.1.0")


def unnoted(repository: Path) -> None:
    (repository / "CHANGELOG.md").write_text("# Changes\n\n## Unreleased\n\n## 0.0.1\n\n- Old.\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Note")


def nameless(repository: Path) -> None:
    # Without it git would make an identity of the machine's names.
    git(repository, "config", "user.useConfigOnly", "true")
    git(repository, "config", "--unset", "user.email")


def without_its_line(repository: Path) -> None:
    """The last of the files that are rewritten but one."""
    module = repository / "template/chassis/src/chassis/release.py"
    module.write_text(module.read_text().replace("RELEASED_AT =", "RELEASED_AT: datetime ="))
    git(repository, "commit", "--quiet", "--all", "--message", "Annotate")


def nothing(repository: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("break_it", "version", "reason"),
    [
        (dirty, "0.1.0", "uncommitted changes"),
        (tagged, "0.1.0", "the tag 0.1.0 exists"),
        (unnoted, "0.1.0", 'no text under "## Unreleased"'),
        (nameless, "0.1.0", "git var failed"),
        (without_its_line, "0.1.0", "release.py has no line that matches"),
        (nothing, "1.0", "write it as X.Y.Z"),
        (nothing, "01.0.0", "write it as X.Y.Z"),
        (nothing, "v1.0.0", "write it as X.Y.Z"),
    ],
)
def test_a_wrong_state_is_refused(
    release: ModuleType, repository: Path, break_it, version: str, reason: str
) -> None:
    break_it(repository)
    before = state(repository)
    with pytest.raises(release.Refused, match=reason):
        release.make_release(repository, version, NOW)
    assert state(repository) == before


def state(repository: Path) -> list[str]:
    """What a release would change."""
    asked = (("rev-parse", "HEAD"), ("tag", "--list"), ("status", "--porcelain"), ("diff", "HEAD"))
    return [git(repository, *arguments) for arguments in asked]


def test_a_version_must_come_after_the_newest(release: ModuleType, repository: Path) -> None:
    release.make_release(repository, "0.2.0", NOW)
    note(repository, "More.")
    before = state(repository)
    with pytest.raises(release.Refused, match=r"0\.1\.9 does not come after 0\.2\.0"):
        release.make_release(repository, "0.1.9", NOW)
    assert state(repository) == before
