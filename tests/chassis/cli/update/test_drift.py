"""Which of the template's files were edited by hand, and giving them back their content."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.drift import Edit, State, find_edits, heal, tell, with_advice
from chassis.cli.update.ownership import Ownership

LIBRARY = "chassis/src/chassis"


@pytest.fixture
def rendered(service: Path, tmp_path: Path, git: Callable[..., str]) -> Path:
    git(tmp_path, "clone", "--quiet", service, tmp_path / "rendered")
    return tmp_path / "rendered"


@pytest.fixture
def find(service: Path, rendered: Path) -> Callable[[], list[Edit]]:
    return lambda: find_edits(service, rendered, Ownership.read(service))


def test_a_fresh_service_has_none(service: Path, find: Callable[[], list[Edit]]) -> None:
    (service / LIBRARY / "__pycache__").mkdir()
    (service / LIBRARY / "__pycache__/context.cpython-311.pyc").touch()
    (service / LIBRARY / ".cache").touch()
    assert find() == []


def test_what_is_yours_or_merged_is_no_edit(service: Path, find: Callable[[], list[Edit]]) -> None:
    for path in ("src/orders/app.py", "pyproject.toml", ".gitignore", ".copier-answers.yml"):
        (service / path).write_text("mine\n")
    (service / "service.mk").touch()
    assert find() == []


def test_every_edit_says_where_the_change_belongs(service: Path, find: Callable[[], list[Edit]]) -> None:
    (service / "Makefile").write_text("mine:\n")
    (service / "SECURITY.md").unlink()
    (service / LIBRARY / "context.py").unlink()
    (service / LIBRARY / "mine.py").touch()
    edits = {edit.path: edit for edit in find()}
    assert {path: str(edit.state) for path, edit in edits.items()} == {
        "Makefile": "edited",
        "SECURITY.md": "deleted",
        f"{LIBRARY}/context.py": "removed",
        f"{LIBRARY}/mine.py": "added",
    }
    how = "The Makefile includes service.mk: add targets and set variables there."
    assert tell([edits["Makefile"]]) == ["Makefile: edited by hand", f"    -> service.mk: {how}"]
    assert tell([edits["SECURITY.md"]]) == ["SECURITY.md: deleted by you (stays deleted)"]
    assert [edit.path for edit in edits.values() if not edit.is_drift] == ["SECURITY.md"]


def test_a_place_that_nobody_extends_has_advice_alone() -> None:
    assert tell([Edit("x", State.EDITED, how="Ask.")]) == ["x: edited by hand", "    -> Ask."]
    assert tell([Edit("x", State.EDITED)]) == ["x: edited by hand"]


def test_advice_is_given_once_for_all_files_that_it_is_about() -> None:
    asked = [Edit(path, State.EDITED, how="Ask.") for path in ("a", "c")]
    other = Edit("b", State.ADDED, neighbour="src/", how="Wrap it.")
    gone = Edit("d", State.DELETED, how="Ask.")
    assert tell([asked[0], other, asked[1], gone]) == [
        "a: edited by hand",
        "c: edited by hand",
        "    -> Ask.",
        "b: added by hand",
        "    -> src/: Wrap it.",
        "d: deleted by you (stays deleted)",
    ]


def test_healing_restores_all_but_what_you_deleted(
    service: Path, rendered: Path, find: Callable[[], list[Edit]]
) -> None:
    (service / "Makefile").write_text("mine:\n")
    (service / "SECURITY.md").unlink()
    (service / LIBRARY / "context.py").unlink()
    (service / LIBRARY / "mine.py").write_text("mine = 1\n")
    (service / LIBRARY / "release.py").unlink()
    (service / LIBRARY / "release.py").symlink_to(service / "src/orders/app.py")
    undone = heal(service, rendered, find())
    assert [edit.path for edit in find()] == ["SECURITY.md"]
    assert (service / "src/orders/app.py").read_text() == "app = 'mine'\n"
    shown = {"-mine:", "+\t@true", "+context = 1", "-mine = 1", "--- yours/Makefile", "+++ restored/Makefile"}
    assert shown <= set(undone.splitlines())


def test_what_git_ignores_is_in_no_tree_that_is_healed(
    service: Path, rendered: Path, find: Callable[[], list[Edit]], tmp_path: Path, git: Callable[..., str]
) -> None:
    git(tmp_path, "clone", "--quiet", service, tmp_path / "tree")
    (service / LIBRARY / "debug.log").touch()
    heal(tmp_path / "tree", rendered, find())
    assert git(tmp_path / "tree", "status", "--porcelain") == ""


def test_a_binary_file_is_named(service: Path, rendered: Path, find: Callable[[], list[Edit]]) -> None:
    (service / "Makefile").write_bytes(b"\xff\xfe")
    assert heal(service, rendered, find()) == "Makefile: a binary file"


def test_a_change_without_a_rule_has_no_advice(service: Path) -> None:
    assert with_advice({"nowhere": State.ADDED}, service) == (Edit("nowhere", State.ADDED),)
