"""``chassis verify``: exact, drift, or cannot tell."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chassis import release
from chassis.cli.update import copier_run
from chassis.cli.verify import app

STATEMENT = Path(__file__).parents[3] / "template/chassis/ownership.toml"
LIBRARY = "chassis/src/chassis"

Run = Callable[..., Result]


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """What the template renders for 0.1.0."""
    folder = tmp_path / "rendered"
    (folder / LIBRARY).mkdir(parents=True)
    (folder / LIBRARY / "context.py").write_text("context = 1\n")
    (folder / "Makefile").write_text("update:\n\tchassis update\n")
    shutil.copy(STATEMENT, folder / "chassis/ownership.toml")
    record = {
        "releases": [{"version": "0.1.0", "digest": release.digest(folder / LIBRARY)}],
        "files": {"context.py": sha256(b"context = 1\n").hexdigest()},
    }
    (folder / "chassis/releases.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def service(tmp_path: Path, rendered: Path) -> Path:
    """A service of a template that is not on this machine."""
    folder = Path(shutil.copytree(rendered, tmp_path / "orders"))
    answer(folder, "https://template.invalid/t.git")
    return folder


@pytest.fixture
def template(tmp_path: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template, whose render is a copy."""

    def render(clone: Path, commit: str, answers: Path, directory: Path, **_: object) -> None:
        assert clone.name == "template.git"
        assert re.fullmatch(r"0\.1\.0(-1-g[0-9a-f]+)?|[0-9a-f]{7,}", commit)
        shutil.copytree(rendered, directory)
        shutil.copy(answers, directory)

    monkeypatch.setattr(copier_run, "render", render)
    folder = tmp_path / "template"
    folder.mkdir()
    for command in ("init --quiet", "commit --quiet --allow-empty --message=x", "tag 0.1.0"):
        git(folder, *command.split())
    return folder


@pytest.fixture(autouse=True)
def _forget_digests() -> Iterator[None]:
    yield
    release.digest.cache_clear()


@pytest.fixture
def run(service: Path) -> Run:
    def run(*arguments: str, directory: Path = service) -> Result:
        release.digest.cache_clear()
        return CliRunner().invoke(app, ["--directory", str(directory), *arguments])

    return run


def git(folder: Path, *arguments: str) -> str:
    config = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgSign=false"]
    done = subprocess.run(
        ["git", *config, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def answer(folder: Path, source: str, commit: str = "0.1.0") -> None:
    (folder / ".copier-answers.yml").write_text(f"_src_path: {source}\n_commit: {commit}\n")


def test_the_released_chassis_is_exact_without_a_network(run: Run, service: Path) -> None:
    (service / "Makefile").write_text("mine:\n")
    result = run(directory=service / LIBRARY)
    assert result.exit_code == 0
    assert result.stdout == (
        "Exact: the chassis is that of release 0.1.0. The template's other files were not compared"
        " (--template recorded).\n"
    )


def test_every_file_of_the_chassis_that_differs_is_named(run: Run, service: Path) -> None:
    (service / LIBRARY / "context.py").write_text("context = 2\n")
    (service / LIBRARY / "mine.py").touch()
    result = run()
    assert result.exit_code == 1
    told = result.stdout.splitlines()
    assert told[0] == "2 files are not as the template has them; make update HEAL=1 restores them:"
    assert told[1:3] == [f"{LIBRARY}/context.py: edited by hand", f"{LIBRARY}/mine.py: added by hand"]
    # What to do is said once for both.
    assert told[3].startswith("    -> src/: ")
    assert len(told) == 4


@pytest.mark.parametrize("makefile", [None, "all:\n"])
def test_without_the_targets_of_the_template_the_command_is_named(
    run: Run, service: Path, makefile: str | None
) -> None:
    (service / "Makefile").unlink()
    if makefile is not None:
        (service / "Makefile").write_text(makefile)
    (service / LIBRARY / "context.py").write_text("context = 2\n")
    assert "; chassis update --heal restores it:" in run().stdout


def test_a_file_that_is_missing_is_drift(run: Run, service: Path) -> None:
    (service / LIBRARY / "context.py").unlink()
    document = json.loads(run("--json").stdout)
    assert document["status"] == "drift"
    assert [(file["path"], file["state"]) for file in document["files"]] == [
        (f"{LIBRARY}/context.py", "removed")
    ]
    assert document.keys() == {"status", "reason", "chassis", "compared", "files"}
    assert document["files"][0].keys() == {"path", "state", "neighbour", "how"}
    assert document["chassis"]["version"] == "0.1.0"
    assert document["chassis"]["digest"] != document["chassis"]["released_digest"]


def test_a_changed_record_is_drift(run: Run, service: Path) -> None:
    record = service / "chassis/releases.json"
    record.write_text(record.read_text().replace('"digest": "', '"digest": "0'))
    result = run()
    assert result.exit_code == 1
    assert "1 file is not as the template has it; make update HEAL=1 restores it:" in result.stdout
    assert "chassis/releases.json: edited by hand" in result.stdout


def test_outside_a_service_nothing_can_be_told(run: Run, tmp_path: Path) -> None:
    result = run(directory=tmp_path)
    assert result.exit_code == 2
    assert result.stdout.startswith(f"Cannot tell: there is no {LIBRARY}/ in ")


def test_without_a_record_nothing_can_be_told(run: Run, service: Path) -> None:
    (service / "chassis/releases.json").unlink()
    result = run()
    assert result.exit_code == 2
    assert "this chassis comes from no release" in result.stdout


def test_a_commit_between_releases_cannot_be_told_offline(run: Run, service: Path) -> None:
    answer(service, "https://template.invalid/t.git", "0.1.0-2-gdeadbee")
    (service / LIBRARY / "context.py").write_text("context = 2\n")
    result = run()
    assert result.exit_code == 2
    assert "rendered from an unreleased commit (0.1.0-2-gdeadbee): name a template" in result.stdout


def test_a_service_that_left_the_template_can_still_ask(run: Run, service: Path) -> None:
    (service / ".copier-answers.yml").unlink()
    assert run().exit_code == 0
    assert run("--template", "recorded").exit_code == 2


def test_with_the_template_every_file_is_compared(run: Run, service: Path, template: Path) -> None:
    exact = run("--template", str(template))
    assert (exact.exit_code, exact.stdout) == (0, "Exact: the template's files are those of 0.1.0.\n")
    (service / "Makefile").write_text("mine:\n")
    drift = json.loads(run("--template", str(template), "--json").stdout)
    assert (drift["status"], drift["compared"]) == ("drift", "0.1.0")
    assert [(file["path"], file["neighbour"]) for file in drift["files"]] == [("Makefile", "service.mk")]


def test_what_you_deleted_stays_deleted_and_is_no_drift(run: Run, service: Path, template: Path) -> None:
    (service / "Makefile").unlink()
    result = run("--template", str(template))
    assert result.exit_code == 0
    assert "Makefile: deleted by you (stays deleted)" in result.stdout


def test_what_you_deleted_is_listed_apart_from_what_is_counted(
    run: Run, service: Path, rendered: Path, template: Path
) -> None:
    (rendered / "SECURITY.md").write_text("theirs\n")
    (service / "SECURITY.md").write_text("mine\n")
    (service / "Makefile").unlink()
    lines = run("--template", str(template)).stdout.splitlines()
    assert lines[0].startswith("1 file is not as the template has it; ")
    assert lines[1] == "SECURITY.md: edited by hand"
    assert lines[-2:] == ["What you deleted does not count:", "Makefile: deleted by you (stays deleted)"]


def test_what_git_ignores_is_not_called_edited(run: Run, service: Path, template: Path) -> None:
    git(service, "init", "--quiet")
    (service / ".gitignore").write_text("Makefile\n")
    (service / "Makefile").write_text("update:\n\tchassis update\n# as it was once\n")
    result = run("--template", str(template))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == ["Makefile: ignored by git: git add --force Makefile"]


def test_a_template_on_this_machine_is_used_unasked(run: Run, service: Path, template: Path) -> None:
    answer(service, str(template))
    (service / "Makefile").write_text("mine:\n")
    assert run().exit_code == 1
    assert run("--template", "recorded").exit_code == 1


def test_a_template_that_does_not_know_the_version_leaves_the_library(
    run: Run, service: Path, template: Path
) -> None:
    answer(service, str(template), "0.9.0")
    assert run().exit_code == 0
    asked = run("--template", str(template))
    assert asked.exit_code == 2
    assert "the template has no commit 0.9.0" in asked.stdout


def test_a_template_that_cannot_be_reached_is_told(run: Run, tmp_path: Path) -> None:
    result = run("--template", f"file://{tmp_path}/nowhere")
    assert result.exit_code == 2
    assert "the template cannot be fetched from" in result.stdout


def test_an_unreleased_commit_is_compared_with_itself(run: Run, service: Path, template: Path) -> None:
    git(template, "commit", "--quiet", "--allow-empty", "--message=y")
    described = git(template, "describe", "--tags")
    answer(service, str(template), described)
    result = run()
    first, second = result.stdout.splitlines()
    assert first == f"Rendered from an unreleased commit ({described}): compared with that commit."
    assert second == f"Exact: the template's files are those of {described}."


def test_a_commit_of_a_template_without_tags_is_compared_with_itself(
    run: Run, service: Path, template: Path
) -> None:
    """As in a clone of a repository that lost its tags: a commit has no release to be named after."""
    commit = git(template, "rev-parse", "--short", "HEAD")
    git(template, "tag", "--delete", "0.1.0")
    answer(service, str(template), commit)
    told = run().stdout
    assert told == (
        f"Rendered from an unreleased commit ({commit}): compared with that commit.\n"
        f"Exact: the template's files are those of {commit}.\n"
    )


def test_a_commit_after_no_release_cannot_be_told_offline(run: Run, service: Path) -> None:
    answer(service, "https://template.invalid/t.git", "deadbee")
    (service / LIBRARY / "context.py").write_text("context = 2\n")
    result = run()
    assert result.exit_code == 2
    assert "rendered from an unreleased commit (deadbee): name a template" in result.stdout


def test_a_commit_that_the_template_does_not_have_is_not_compared_with_a_release(
    run: Run, service: Path, template: Path
) -> None:
    """Rendered from files that were not committed: every file that they changed would be called edited."""
    answer(service, str(template), "0.1.0-1-gdeadbee")
    (service / LIBRARY / "context.py").write_text("context = 2\n")
    result = run()
    assert result.exit_code == 2
    assert (
        "unreleased commit (0.1.0-1-gdeadbee): the template has no commit 0.1.0-1-gdeadbee" in result.stdout
    )
