"""A service to run commands on: a copy of the sample under a package name of its own."""

import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "testing" / "sample"
numbers = count(1)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a service whose modules are forgotten after the test."""
    package = f"sample_{next(numbers)}"
    root = tmp_path / package
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    (root / "src" / "sample_service").rename(root / "src" / package)
    project = root / "pyproject.toml"
    project.write_text(project.read_text().replace("sample_service", package))
    for variable in ("SERVICE_PACKAGE", "ENVIRONMENT", "CONFIG_DIR", "PORT", "DEBUG", "CORS_ORIGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield root
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[module]


@pytest.fixture
def rewrite(sample: Path) -> Callable[[str, str, str], None]:
    """Change one text in a file of the sample's package."""

    def change(file: str, old: str, new: str) -> None:
        path = sample / "src" / sample.name / file
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new))

    return change
