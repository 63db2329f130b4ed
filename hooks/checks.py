"""Every check of the repository, one after the other: `make test` calls this.

Each step prints one line, its output only when it fails; pytest prints its own progress. The last line counts
the tests, as pytest recorded them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "build" / "tests.xml"

MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
BIN = Path(sys.executable).parent
STEPS: dict[str, list[Path | str]] = {
    "format": [BIN / "ruff", "format", "--check", "."],
    "rules": [BIN / "ruff", "check", "."],
    "types": [BIN / "mypy"],
    "types of the hooks": [BIN / "mypy", "hooks"],
    "layers": [BIN / "lint-imports"],
    "tests": [BIN / "pytest", "-n", "2", "--cov", "--cov-report=term", f"--junitxml={REPORT}", "-q"],
}


def main() -> int:
    """Run every step, also after one failed, and sum up."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    began = time.monotonic()
    failed = [name for number, name in enumerate(STEPS, 1) if not run(number, name)]
    verdict = f"failed: {', '.join(failed)}" if failed else "all good"
    print(f"{len(STEPS)} steps in {time.monotonic() - began:.0f} s, {verdict}")
    for line in count():
        print(line)
    return 1 if failed else 0


def run(number: int, name: str) -> bool:
    """Run one step and say how it went."""
    shown = name == "tests"
    print(f"[{number}/{len(STEPS)}] {name} ...", end="\n" if shown else " ", flush=True)
    began = time.monotonic()
    done = subprocess.run(
        STEPS[name],
        check=False,
        cwd=ROOT,
        # What this make was told is not meant for the makes that tests start.
        env={name: value for name, value in os.environ.items() if name not in MAKE},
        capture_output=not shown,
        text=True,
    )
    good = done.returncode == 0
    if not shown:
        print(f"{'ok' if good else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
        if not good:
            print(done.stdout + done.stderr, flush=True)
    return good


def count() -> Iterator[str]:
    """Give the number of tests that passed and failed, if pytest came far enough to record them."""
    if REPORT.exists():
        suites = ET.parse(REPORT).getroot().iter("testsuite")
        totals = [
            {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
            for suite in suites
        ]
        bad = sum(total["failures"] + total["errors"] for total in totals)
        good = sum(total["tests"] - total["skipped"] for total in totals) - bad
        yield f"{good} passed, {bad} failed"


if __name__ == "__main__":
    sys.exit(main())
