"""The tests of a sample service, run as its team runs them: pytest, in its directory, with the plugin."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Outcomes = dict[str, str]
RunTests = Callable[[dict[str, str]], Outcomes]

SAMPLE = Path(__file__).parent / "sample"
OUTCOME = re.compile(r"^(?P<test>\S.*?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED)\b", re.MULTILINE)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of the sample service, without tests of its own."""
    root = tmp_path / "sample"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests").mkdir()
    return root


@pytest.fixture
def run_tests(sample: Path) -> RunTests:
    """Run the sample's tests from these files, by their path; return the outcome of each by its node id."""

    def run(files: dict[str, str]) -> Outcomes:
        for name, source in files.items():
            file = sample / "tests" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(source)
        # A variable of the machine must not reach the settings of a service under test.
        environ = {**os.environ, "SERVICE_NAME": "from-the-machine", "PORT": "many"}
        environ.pop("SERVICE_PACKAGE", None)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--color=no",
            "--no-header",
        ]
        result = subprocess.run(
            command, cwd=sample, env=environ, capture_output=True, text=True, check=False, timeout=100
        )
        outcomes = {found["test"]: found["outcome"].lower() for found in OUTCOME.finditer(result.stdout)}
        assert outcomes, result.stdout + result.stderr
        return outcomes

    return run
