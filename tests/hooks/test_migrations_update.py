"""Migrations in a real update of a small template: files, answers and keys move, and no edit is lost."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UnsafeTemplateError

MIGRATIONS = Path(__file__).parents[2] / "hooks" / "migrations"
sys.path.append(str(MIGRATIONS))
merge = importlib.import_module("merge")
renamed_file = importlib.import_module("renamed_file")
Refused = importlib.import_module("refused").Refused
Service = importlib.import_module("service").Service

Once = Callable[[str, Callable[[Path], Any]], Any]

LINES = "".join(f"line {number}\n" for number in range(1, 10))
RENAMED = ["edited", "deleted", "conflict", "untouched", "taken", "binary", "renamed", "chained"]

SETTINGS = """\
_subdirectory: template
_exclude:
  - "{% if _copier_operation == 'update' %}/config.yaml{% endif %}"
  - "{% if _copier_operation == 'update' %}/moved.yaml{% endif %}"
  - "{% if _copier_operation == 'update' %}/seeds{% endif %}"
"""
ANSWERS_FILE = "# What the service was rendered with.\n{{ _copier_answers | to_nice_yaml -}}\n"

OLD_QUESTIONS = """\
db: {type: str, default: sqlite}
features: {type: str, multiselect: true, choices: [cache, tasks], default: "[]"}
"""
NEW_QUESTIONS = """\
database: {type: str, default: none}
features: {type: str, multiselect: true, choices: [redis, tasks], default: "[]"}
_migrations:
  - version: 0.2.0
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/migrations/v0_2_0.py"]
    when: true
"""
MIGRATION = f"""\
import yaml_keys
from answers import change_answer, rename_question
from renamed_file import rename_file
from service import Service

service = Service.of_this_update()
if service.stage == "before":
    rename_question(service, "db", "database")
    change_answer(service, "features", "cache", "redis")
else:
    for name in {RENAMED[:-1]}:
        rename_file(service, f"{{name}}.txt", f"new/{{name}}.txt")
    rename_file(service, "chained.txt", "middle/chained.txt")
    rename_file(service, "middle/chained.txt", "new/chained.txt", earlier=["chained.txt"])
    rename_file(service, "run.sh", "new/run.sh")
    rename_file(service, "seeds/one.txt", "own/one.txt")
    rename_file(service, "never.txt", "new/never.txt")
    rename_file(service, "own.txt", "new/own.txt")
    service.edit("config.yaml", lambda text: yaml_keys.move(text, ("a", "b"), ("c", "b")))
    service.edit("moved.yaml", lambda text: yaml_keys.move(text, ("a", "b"), ("c", "b")))
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(folder: Path, tag: str | None = None) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change")
    if tag:
        git(folder, "tag", tag)


@pytest.fixture(scope="module")
def template(once: Once) -> Path:
    """A template that renames files, a question and an answer between two versions."""
    made: Path = once("migrations-template", make_template)
    return made


def make_template(folder: Path) -> Path:
    rendered = folder / "template"
    rendered.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "copier.yml").write_text(SETTINGS + OLD_QUESTIONS)
    (rendered / "{{ _copier_conf.answers_file }}.jinja").write_text(ANSWERS_FILE)
    (rendered / "answers.txt.jinja").write_text("{{ db }} {{ features }}\n")
    for name in RENAMED:
        (rendered / f"{name}.txt").write_text(LINES)
    (rendered / "binary.txt").write_bytes(b"\0old\n")
    (rendered / "run.sh").write_text("#!/bin/sh\n")
    (rendered / "run.sh").chmod(0o755)
    (rendered / "seeds").mkdir()
    (rendered / "seeds" / "one.txt").write_text(LINES)
    (rendered / "config.yaml").write_text("a:\n  b: 1  # why\nc:\n  d: 2\n")
    (rendered / "moved.yaml").write_text("a:\n  b: 1\nc: {d: 2}\n")
    commit(folder, "0.1.0")

    (folder / "copier.yml").write_text(SETTINGS + NEW_QUESTIONS)
    shutil.copytree(MIGRATIONS, folder / "hooks" / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "hooks" / "migrations" / "v0_2_0.py").write_text(MIGRATION)
    (rendered / "answers.txt.jinja").write_text("{{ database }} {{ features }}\n")
    (rendered / "new").mkdir()
    for name in RENAMED:
        (rendered / f"{name}.txt").rename(rendered / "new" / f"{name}.txt")
        (rendered / "new" / f"{name}.txt").write_text(LINES.replace("line 8", "line 8 of the template"))
    (rendered / "new" / "binary.txt").write_bytes(b"\0new\n")
    (rendered / "run.sh").rename(rendered / "new" / "run.sh")
    shutil.rmtree(rendered / "seeds")
    commit(folder, "0.2.0")
    return folder


@pytest.fixture(scope="module")
def edited(template: Path, once: Once) -> Path:
    """A service of the old version, which its owner edited. Copy it before you change it."""
    made: Path = once("migrations-edited", lambda folder: edit_a_service(template, folder / "service"))
    return made


def edit_a_service(template: Path, folder: Path) -> Path:
    answers = {"db": "postgres", "features": ["cache", "tasks"]}
    copier.run_copy(str(template), folder, data=answers, vcs_ref="0.1.0", defaults=True, quiet=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name in ("edited.txt", "chained.txt"):
        (folder / name).write_text(LINES.replace("line 2", "line 2 of mine"))
    (folder / "deleted.txt").unlink()
    (folder / "conflict.txt").write_text(LINES.replace("line 8", "line 8 of mine"))
    (folder / "binary.txt").write_bytes(b"\0mine\n")
    (folder / "seeds" / "one.txt").write_text("mine\n")
    (folder / "run.sh").write_text("#!/bin/sh\necho mine\n")
    (folder / "own.txt").write_text("never the template's\n")
    (folder / "new").mkdir()
    (folder / "new" / "taken.txt").write_text("mine\n")
    (folder / "taken.txt").write_text(LINES + "mine\n")
    (folder / "renamed.txt").rename(folder / "new" / "renamed.txt")
    (folder / "new" / "renamed.txt").write_text(LINES.replace("line 2", "line 2 of mine"))
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def updated(edited: Path, once: Once) -> tuple[Path, str]:
    """The service after the update, and what the migration printed. Copy it before you change it."""
    made: tuple[Path, str] = once("migrations-updated", lambda folder: update(edited, folder / "service"))
    return made


def update(edited: Path, folder: Path) -> tuple[Path, str]:
    shutil.copytree(edited, folder)
    command = [
        sys.executable,
        "-m",
        "copier",
        "update",
        "--trust",
        "--quiet",
        "--skip-answered",
        "--defaults",
    ]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return folder, done.stderr


def test_a_question_and_an_answer_have_their_new_names(updated: tuple[Path, str]) -> None:
    service, _ = updated
    answers: dict[str, Any] = yaml.safe_load((service / ".copier-answers.yml").read_text())
    assert answers["database"] == "postgres"
    assert answers["features"] == ["redis", "tasks"]
    assert "db" not in answers
    assert (service / "answers.txt").read_text() == "postgres ['redis', 'tasks']\n"


def test_a_renamed_file_has_the_edits_of_both(updated: tuple[Path, str]) -> None:
    service, _ = updated
    expected = LINES.replace("line 2", "line 2 of mine").replace("line 8", "line 8 of the template")
    for name in ("edited.txt", "renamed.txt", "chained.txt"):
        assert (service / "new" / name).read_text() == expected
        assert not (service / name).exists()


def test_a_file_that_was_renamed_twice_is_only_under_its_last_name(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert not (service / "middle" / "chained.txt").exists()


def test_a_renamed_file_that_nobody_edited_is_the_new_one(updated: tuple[Path, str]) -> None:
    service, _ = updated
    expected = LINES.replace("line 8", "line 8 of the template")
    assert (service / "new" / "untouched.txt").read_text() == expected


def test_a_deleted_file_does_not_come_back_under_its_new_name(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert not (service / "new" / "deleted.txt").exists()


def test_edits_that_meet_leave_the_owners_version_whole_and_are_reported(updated: tuple[Path, str]) -> None:
    service, said = updated
    expected = LINES.replace("line 8", "line 8 of mine")
    assert (service / "new" / "conflict.txt").read_text() == expected
    assert "Migration 0.2.0: new/conflict.txt: your edits and the template's meet here" in said
    assert "+line 8 of the template\n" in said
    assert (service / "new" / "binary.txt").read_bytes() == b"\0mine\n"
    assert "Migration 0.2.0: new/binary.txt: it cannot be merged" in said


def test_a_file_that_was_there_under_the_new_name_stays(updated: tuple[Path, str]) -> None:
    service, said = updated
    assert (service / "taken.txt").read_text() == LINES + "mine\n"
    assert (service / "new" / "taken.txt").read_text() == "mine\n"
    assert "Migration 0.2.0: taken.txt: there was a new/taken.txt before. It was left as it is" in said


def test_an_executable_stays_executable(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert (service / "new" / "run.sh").read_text() == "#!/bin/sh\necho mine\n"
    assert (service / "new" / "run.sh").stat().st_mode & 0o111


def test_a_file_of_the_owner_moves_as_it_is(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert (service / "own" / "one.txt").read_text() == "mine\n"
    assert not (service / "seeds" / "one.txt").exists()


def test_a_file_that_the_template_never_had_is_left_alone(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert (service / "own.txt").read_text() == "never the template's\n"
    assert not (service / "new" / "never.txt").exists()


def test_a_key_moves_in_a_file_of_the_owner(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert (service / "config.yaml").read_text() == "a: {}\nc:\n  d: 2\n  b: 1  # why\n"


def test_what_is_not_understood_is_left_and_reported(updated: tuple[Path, str]) -> None:
    service, said = updated
    assert (service / "moved.yaml").read_text() == "a:\n  b: 1\nc: {d: 2}\n"
    assert "moved.yaml: c is not written as a mapping on lines of its own. It was left as it is" in said


def test_no_marker_is_written(updated: tuple[Path, str]) -> None:
    service, _ = updated
    assert git(service, "ls-files", "--unmerged") == ""
    for file in (service / "new").iterdir():
        assert b"<<<<<<<" not in file.read_bytes()


def test_an_update_that_crosses_a_migration_asks_for_trust(edited: Path, tmp_path: Path) -> None:
    service = Path(shutil.copytree(edited, tmp_path / "service"))
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        copier.run_update(service, defaults=True, overwrite=True, quiet=True)
    assert git(service, "status", "--porcelain") == ""


def test_a_second_run_changes_nothing(updated: tuple[Path, str], template: Path, tmp_path: Path) -> None:
    service = Path(shutil.copytree(updated[0], tmp_path / "service"))
    for name in ("before", "after"):
        before = contents(service)
        run_again(service, template, name)
        assert contents(service) == before
    commit(service)
    before = contents(service)
    run_again(service, template, "after")
    assert contents(service) == before


def run_again(service: Path, template: Path, stage: str) -> None:
    """Start the migration as Copier does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(service.parent)}
    versions = {"VERSION_FROM": "0.1.0", "VERSION_CURRENT": "0.2.0"}
    subprocess.run(
        [sys.executable, template / "hooks/migrations/v0_2_0.py"],
        cwd=service,
        env=environment | versions | {"STAGE": stage},
        check=True,
        capture_output=True,
    )


def contents(service: Path) -> dict[str, bytes]:
    """What the files of a service hold, by their paths."""
    found = (file for file in service.rglob("*") if file.is_file())
    paths = {file.relative_to(service).as_posix(): file for file in found}
    return {path: file.read_bytes() for path, file in paths.items() if not path.startswith(".git/")}


def test_what_is_lost_where_there_is_no_migration(template: Path, edited: Path, tmp_path: Path) -> None:
    service = Path(shutil.copytree(edited, tmp_path / "service"))
    unaided = tmp_path / "unaided"
    git(tmp_path, "clone", "--quiet", str(template), str(unaided))
    (unaided / "copier.yml").write_text(SETTINGS + NEW_QUESTIONS.partition("_migrations:")[0])
    commit(unaided)
    git(unaided, "tag", "--force", "0.2.0")
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(template), str(unaided)))
    commit(service)

    copier.run_update(service, defaults=True, overwrite=True, quiet=True)

    assert not (service / "edited.txt").exists()
    assert (service / "new/edited.txt").read_text() == LINES.replace("line 8", "line 8 of the template")
    recorded = yaml.safe_load(answers.read_text())
    assert recorded["database"] == "none"
    assert recorded["features"] == []
    assert (service / "config.yaml").read_text() == (edited / "config.yaml").read_text()


STAGES = """
import os, pathlib, sys
with pathlib.Path("ran").open("a") as file:
    print(sys.argv[1], os.environ["STAGE"], pathlib.Path("x.txt").read_text().strip(), file=file)
"""
WITH_STAGES = """\
_subdirectory: template
_migrations:
  - version: 0.2.0
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/stages.py", after]
  - version: 0.2.0
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/stages.py", both]
    when: true
"""


def test_a_migration_runs_once_at_its_release_and_after_the_merge_unless_it_asks(tmp_path: Path) -> None:
    folder, service = tmp_path / "template", tmp_path / "service"
    (folder / "template").mkdir(parents=True)
    (folder / "stages.py").write_text(STAGES)
    (folder / "copier.yml").write_text(WITH_STAGES)
    answers_file = folder / "template" / "{{ _copier_conf.answers_file }}.jinja"
    answers_file.write_text("{{ _copier_answers | to_nice_yaml -}}\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    (folder / "template/x.txt").write_text("first\n")
    commit(folder, "0.1.0")
    copier.run_copy(str(folder), service, defaults=True, quiet=True)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(service))
    commit(service)
    ran = {}
    for name, tag in (("untagged", None), ("release", "0.2.0"), ("later", "0.3.0")):
        (folder / "template/x.txt").write_text(f"{name}\n")
        commit(folder, tag)
        copier.run_update(
            service, vcs_ref=tag or "HEAD", defaults=True, overwrite=True, quiet=True, unsafe=True
        )
        commit(service)
        ran[name] = (service / "ran").read_text().splitlines() if (service / "ran").exists() else []
        (service / "ran").unlink(missing_ok=True)
        git(service, "commit", "--quiet", "--all", "--allow-empty", "--message", "Read")
    assert ran == {
        "untagged": [],
        "release": ["both before untagged", "after after release", "both after release"],
        "later": [],
    }


# --- The parts, without an update ---


def test_every_migration_is_declared_in_order_with_the_script_of_its_version() -> None:
    settings = yaml.safe_load((MIGRATIONS.parents[1] / "copier.yml").read_text(encoding="utf-8"))
    versions = [entry["version"] for entry in settings["_migrations"]]
    scripts = [Path(entry["command"][1]).name for entry in settings["_migrations"]]
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")])
    assert scripts == [f"v{version.replace('.', '_')}.py" for version in versions]
    assert {entry["command"][0] for entry in settings["_migrations"]} == {"{{ _copier_python }}"}
    assert sorted(scripts) == sorted(file.name for file in MIGRATIONS.glob("v*.py"))


def test_migrations_need_nothing_that_copier_does_not_bring() -> None:
    imported = {
        name.split(".")[0]
        for file in MIGRATIONS.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
        )
    }
    own = {file.stem for file in MIGRATIONS.glob("*.py")}
    assert imported - own - sys.stdlib_module_names == {"yaml"}
    assert any(needed.lower().startswith("pyyaml") for needed in requires("copier") or [])


def test_a_migration_runs_only_in_an_update() -> None:
    with pytest.raises(Refused, match="STAGE is not set: Copier runs a migration during an update"):
        Service.of_this_update({})


def test_a_file_outside_the_service_is_refused(tmp_path: Path) -> None:
    service = Service(tmp_path, "after", "0.1.0", "0.2.0")
    with pytest.raises(Refused, match="is outside the service"):
        service.path("../other")


def test_a_version_that_cannot_be_rendered_is_refused(edited: Path) -> None:
    service = Service(edited, "after", "9.9.9", "0.2.0")
    with pytest.raises(Refused, match=r"version 9\.9\.9 of the template cannot be rendered"):
        service.rendered_before("edited.txt")


def test_a_rename_without_the_old_version_leaves_everything_as_it_was(
    edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(edited, tmp_path / "service"))
    (folder / "edited.txt").unlink()
    service = Service(folder, "after", "9.9.9", "0.2.0")
    renamed_file.rename_file(service, "edited.txt", "new/edited.txt")
    assert git(folder, "status", "--porcelain") == ""
    assert "Migration 0.2.0: edited.txt: version 9.9.9" in capsys.readouterr().err


def test_a_file_that_is_no_text_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(b"\xff")
    service = Service(tmp_path, "after", "0.1.0", "0.2.0")
    assert not service.edit("x", str.upper)
    assert not service.edit("missing", str.upper)
    assert (tmp_path / "x").read_bytes() == b"\xff"
    assert "x: it is not UTF-8" in capsys.readouterr().err


def test_an_edit_says_whether_it_changed_something(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\r\n")
    service = Service(tmp_path, "after", "0.1.0", "0.2.0")
    assert service.edit("x", str.upper)
    assert not service.edit("x", str.upper)
    assert (tmp_path / "x").read_bytes() == b"A\r\n"


def test_a_merge_counts_its_conflicts() -> None:
    assert merge.merge(b"a\n", b"a\n", b"b\n") == merge.Merged(b"b\n", 0)
    assert merge.merge(b"c\n", b"a\n", b"b\n").conflicts == 1
