"""The Copier that these tests speed up writes what the Copier that a user starts writes."""

import filecmp
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

AnswersOf = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", ["all-on", "all-off"])
def test_what_it_renders_is_the_same(
    name: str, template: Path, render: Callable[..., Path], answers_of: AnswersOf, tmp_path: Path
) -> None:
    answers = answers_of(name)
    (tmp_path / "answers.yml").write_text(yaml.safe_dump(answers), encoding="utf-8")
    command = ["copy", "--quiet", "--defaults", "--data-file", tmp_path / "answers.yml"]
    subprocess.run([sys.executable, "-m", "copier", *command, template, tmp_path / "plain"], check=True)
    compared = filecmp.dircmp(tmp_path / "plain", render(**answers), ignore=[], hide=[])
    assert list(differences(compared)) == []


def differences(compared: "filecmp.dircmp[str]", folder: str = "") -> Iterator[str]:
    """Every file that is only on one side, or of other bytes or another mode."""
    yield from (f"{folder}{name}" for name in (*compared.left_only, *compared.right_only))
    for name in compared.common_files:
        left, right = Path(compared.left, name), Path(compared.right, name)
        if left.read_bytes() != right.read_bytes() or left.stat().st_mode != right.stat().st_mode:
            yield f"{folder}{name}"
    for name, below in compared.subdirs.items():
        yield from differences(below, f"{folder}{name}/")
