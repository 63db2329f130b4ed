"""The migration to 0.2.0 gives a pyproject.toml of 0.1 the new layout, whatever its owner added to it."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "hooks" / "migrations"))
v0_2_0 = importlib.import_module("v0_2_0")
conflict = importlib.import_module("conflict")
merge = importlib.import_module("merge")
Refused = importlib.import_module("refused").Refused
Service = importlib.import_module("service").Service

OLD = """\
# Yours: what the service is.
[project]
name = "orders"
version = "0.1.0"
description = "Orders."
# The template's: the oldest Python that the chassis runs on. The image and CI use 3.13.
requires-python = ">=3.11"
# Yours: `uv add` writes here.
dependencies = [
    "vendored-chassis[tracing]",
]

# Yours: `uv add --dev` writes here.
[dependency-groups]
dev = [
    "mypy>=2.4,<3",
    "ruff==0.17.5",
    "vendored-chassis[testing]",
]
"""
NEW = """\
# Yours: what the service is.
[project]
name = "orders"
version = "0.1.0"
# The template's: an answer.
description = "Orders."
# The template's: the oldest Python that the chassis runs on. The image and CI use 3.13.
requires-python = ">=3.11"
# Yours: `uv add` writes here.
dependencies = [
    # The template's: the chosen bundles.
    "vendored-chassis[tracing]",
    # Yours.
    "fastapi",
    "pydantic",
]

# Yours: `uv add --dev` writes here.
[dependency-groups]
dev = [
    # The template's: tools and fixtures for checks.
    "vendored-chassis[checks,testing]",
    # Yours.
    "httpx2",
]
"""


CHASSIS = '    "vendored-chassis[tracing]",\n'


def migrated(text: str) -> str:
    for change in v0_2_0.CHANGES:
        text = change(text)
    return text


def test_what_nobody_edited_becomes_the_new_layout() -> None:
    assert migrated(OLD) == NEW


def test_the_new_layout_is_left_alone() -> None:
    assert migrated(NEW) == NEW


def test_lines_of_the_owner_stay_where_they_are() -> None:
    text = OLD.replace(
        '    "vendored-chassis[tracing]",\n', '    "aiofiles",\n    "vendored-chassis[tracing]",\n'
    )
    text = text.replace('    "ruff', '    "pytest-mock",  # for clocks\n    "ruff')
    result = tomllib.loads(migrated(text))
    assert result["project"]["dependencies"] == [
        "aiofiles",
        "vendored-chassis[tracing]",
        "fastapi",
        "pydantic",
    ]
    assert result["dependency-groups"]["dev"] == ["pytest-mock", "vendored-chassis[checks,testing]", "httpx2"]
    assert '    "pytest-mock",  # for clocks\n' in migrated(text)


def test_a_requirement_that_the_owner_has_already_is_not_added() -> None:
    text = OLD.replace(
        '    "vendored-chassis[tracing]",\n', '    "fastapi>=0.165",\n    "vendored-chassis[tracing]",\n'
    )
    listed = tomllib.loads(migrated(text))["project"]["dependencies"]
    assert listed == ["fastapi>=0.165", "vendored-chassis[tracing]", "pydantic"]


@pytest.mark.parametrize("pin", ["ruff==0.18.0", "Ruff", "mypy[faster-cache]>=2.4,<3"])
def test_another_version_of_a_tool_is_the_owners_decision(pin: str) -> None:
    name = "mypy>=2.4,<3" if pin.startswith("mypy") else "ruff==0.17.5"
    with pytest.raises(Refused, match="the chassis brings a version of its own now"):
        v0_2_0.take_tools_from_chassis(OLD.replace(name, pin))


def git(folder: Path, *arguments: str, given: str = "") -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, input=given
    )
    return done.stdout


def unmerged(folder: Path, base: str, mine: str, theirs: str) -> Path:
    """A repository in which pyproject.toml is left as Copier leaves a conflict."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pyproject.toml").write_text(mine)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Mine")
    (folder / "pyproject.toml").write_text("<<<<<<<\n")
    entries = [f"0 {'0' * 40}\tpyproject.toml"]
    for stage, text in ((1, base), (2, mine), (3, theirs)):
        blob = git(folder, "hash-object", "-w", "--stdin", given=text).strip()
        entries.append(f"100644 {blob} {stage}\tpyproject.toml")
    git(folder, "update-index", "--index-info", given="\n".join(entries))
    return folder


def settle(folder: Path) -> str:
    conflict.settle(Service(folder, "after", "0.1.0", "0.2.0"), "pyproject.toml", *v0_2_0.CHANGES)
    return (folder / "pyproject.toml").read_text()


def test_a_conflict_is_settled_and_the_index_is_as_it_was(tmp_path: Path) -> None:
    mine = OLD.replace('    "ruff', '    "pytest-mock",\n    "ruff').replace('"0.1.0"', '"4.2.0"')
    theirs = NEW.replace("[tracing]", "[database,tracing]").replace("Orders.", "All orders.")
    assert merge.merge(mine.encode(), OLD.encode(), theirs.encode()).conflicts
    folder = unmerged(tmp_path, OLD, mine, theirs)
    expected = theirs.replace('"0.1.0"', '"4.2.0"').replace(
        "    # The template's: tools", '    "pytest-mock",\n    # The template\'s: tools'
    )
    assert settle(folder) == expected
    assert git(folder, "ls-files", "--unmerged") == ""
    assert git(folder, "diff", "--cached", "--name-only") == ""


def test_the_owners_own_tools_stay_and_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = OLD.replace("ruff==0.17.5", "ruff==0.18.0").replace(
        '"vendored-chassis[tr', '"a",\n    "vendored-chassis[tr'
    )
    result = settle(unmerged(tmp_path, OLD, mine, NEW.replace("[tracing]", "[database,tracing]")))
    listed = tomllib.loads(result)
    assert listed["dependency-groups"]["dev"] == ["mypy>=2.4,<3", "ruff==0.18.0", "vendored-chassis[testing]"]
    assert listed["project"]["dependencies"][:2] == ["a", "vendored-chassis[database,tracing]"]
    assert 'pyproject.toml: the group dev wants "ruff==0.18.0"' in capsys.readouterr().err


def test_a_conflict_elsewhere_stays_as_copier_left_it(tmp_path: Path) -> None:
    mine, theirs = OLD.replace(">=3.11", ">=3.12"), NEW.replace(">=3.11", ">=3.13")
    assert settle(unmerged(tmp_path, OLD, mine, theirs)) == "<<<<<<<\n"


def test_a_file_without_conflict_is_not_touched(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pyproject.toml").write_text(OLD)
    git(tmp_path, "add", ".")
    assert settle(tmp_path) == OLD


def test_outside_an_update_it_says_so(tmp_path: Path) -> None:
    script = Path(v0_2_0.__file__)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Migration 0.2.0: STAGE is not set")
