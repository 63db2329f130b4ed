"""What Copier leaves unmerged is found, however it left it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.checks import changed_files, unmerged


@pytest.fixture
def base(tmp_path: Path, write: Callable[..., None], commit: Callable[[Path], str]) -> tuple[Path, str]:
    folder = tmp_path / "tree"
    write(
        folder,
        {"a.txt": "1\n", "b.txt": "1\n", "told.md": "<<<<<<< before\n", ".gitignore": "*.rej\n*.log\n"},
    )
    return folder, commit(folder)


def test_nothing_unmerged(base: tuple[Path, str], write: Callable[..., None]) -> None:
    folder, commit = base
    write(folder, {"a.txt": "2\n", "new file.txt": "x\n", "x.log": "<<<<<<< ignored\n"})
    (folder / "b.txt").unlink()
    assert changed_files(folder, commit) == ["a.txt", "new file.txt"]
    assert unmerged(folder, commit) == []


def test_a_marker_in_what_changed_and_a_rejected_part(
    base: tuple[Path, str], write: Callable[..., None]
) -> None:
    folder, commit = base
    write(
        folder,
        {"a.txt": "1\n<<<<<<< before updating\n", "sub/é.txt": "x\n>>>>>>> after\n", "b.txt.rej": "@@\n"},
    )
    assert unmerged(folder, commit) == ["a.txt", "b.txt.rej", "sub/é.txt"]


def test_an_unmerged_path_in_the_index(base: tuple[Path, str], git: Callable[..., str]) -> None:
    folder, commit = base
    blob = git(folder, "rev-parse", "HEAD:a.txt").strip()
    entries = f"0 {'0' * 40}\ta.txt\n" + "".join(f"100644 {blob} {stage}\ta.txt\n" for stage in (1, 2, 3))
    git(folder, "update-index", "--index-info", text=entries)
    assert unmerged(folder, commit) == ["a.txt"]
