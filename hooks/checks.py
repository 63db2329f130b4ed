"""Every check of the repository: `make test` calls this.

Each step prints one line, its output only when it fails; pytest prints its own progress. The last line counts
the tests, as pytest recorded them; a skipped test is named and fails the run, because everything needed comes from
PyPI.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "tests"

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it
ROOM = 2 * 2**30
"""Bytes that the tests' files take at most: renders, and two services with environments of their own."""

LEFT_OUT = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHONDONTWRITEBYTECODE"}
"""What this make was told is not meant for the makes that tests start. Without bytecode, each of hundreds of processes
would compile the library and its packages anew, and each of pytest's the tests.
"""
BIN = Path(sys.executable).parent
BUNDLES = ["--bundle", "database=chassis.bundles.database:DatabaseSettings"]
# Tests wait for services, git, uv and mypy: on two cores a third process fills the gaps, and saves a tenth. One that
# has nothing left takes tests of another: the longest would else be alone at the end.
PYTEST: list[Path | str] = [BIN / "pytest", "-n", "3", "--dist", "worksteal", "-q", "-m", "not ops"]
LIBRARY = "tests/chassis"
BUNDLED = "tests/chassis/bundles"
WHOLE = [f"tests/{name}" for name in ("boot", "security", "render", "update", "hooks", "docs", "bench")]
"""The service and the template as a whole. Coverage is measured where the library is tested part by part, and in
the processes of pytest alone: on Python 3.11 it takes 2.3 times the processor time.
"""
STEPS: dict[str, list[Path | str]] = {
    "format": [BIN / "ruff", "format", "--check", "."],
    "rules": [BIN / "ruff", "check", "."],
    "types": [BIN / "mypy"],
    "types of the hooks": [BIN / "mypy", "hooks"],
    "layers": [BIN / "lint-imports"],
    "reference of settings": [BIN / "python", "hooks/reference.py", "--check", *BUNDLES],
    # Without greenlets: on Python 3.11 a traced thread that ends while coverage watches them can hang the process
    # (the tracer waits for a pending call, which waits for the tracer). One run in ten did.
    "tests of the library": [
        *("env", "COVERAGE_SWITCHES=thread", *PYTEST, LIBRARY, f"--ignore={BUNDLED}"),
        *("--cov", "--cov-report=", "--cov-fail-under=0", f"--junitxml={REPORTS / 'library.xml'}"),
    ],
    # SQLAlchemy switches between greenlets.
    "tests of the bundles": [
        *(*PYTEST, BUNDLED, "--cov", "--cov-append", "--cov-report=term"),
        f"--junitxml={REPORTS / 'bundles.xml'}",
    ],
    "tests of the whole": [*PYTEST, *WHOLE, f"--junitxml={REPORTS / 'whole.xml'}"],
}
LONGEST = "types"
"""The check that takes one core for longer than all others take the second: the tests begin beside it."""


def main() -> int:
    """Run every step, also after one failed, and sum up."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    began = time.monotonic()
    numbers = {name: number for number, name in enumerate(STEPS, 1)}
    tests = [name for name in STEPS if name.startswith("tests")]
    with scratch() as folder:
        with ThreadPoolExecutor(2) as pool:
            checked = {name: pool.submit(check, name, folder) for name in STEPS if name not in tests}
            late = {name: done for name, done in checked.items() if name == LONGEST}
            early = {name: done for name, done in checked.items() if name != LONGEST}
            failed = [name for name, done in early.items() if not tell(numbers[name], name, done.result())]
            failed += [name for name in tests[:1] if not test(numbers[name], name, folder)]
            failed += [name for name, done in late.items() if not tell(numbers[name], name, done.result())]
        failed += [name for name in tests[1:] if not test(numbers[name], name, folder)]
    skipped = list(skips())
    if skipped:
        failed.append("skipped tests")
        print("\n".join(skipped))
    verdict = f"failed: {', '.join(failed)}" if failed else "all good"
    print(f"{len(STEPS)} steps in {time.monotonic() - began:.0f} s, {verdict}")
    for line in count():
        print(line)
    return 1 if failed else 0


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for temporary files, in memory where there is room: a render takes a third less time there."""
    folder = Path(tempfile.mkdtemp(prefix="chassis-tests-", dir=MEMORY if fits(MEMORY) else None))
    # PostgreSQL does not run as root, and then uses a folder in it as another user.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fits(memory: Path) -> bool:
    """Tell whether files can be written to this folder in memory and, as commands of an environment, run there."""
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        return False
    return shutil.disk_usage(memory).free > ROOM and not os.statvfs(memory).f_flag & os.ST_NOEXEC


def check(name: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run one check; return how it ended, with its output, and how many seconds it took."""
    began = time.monotonic()
    done = subprocess.run(
        STEPS[name],
        check=False,
        cwd=ROOT,
        env=surroundings(folder),
        capture_output=True,
        text=True,
    )
    return done, time.monotonic() - began


def tell(number: int, name: str, checked: tuple[subprocess.CompletedProcess[str], float]) -> bool:
    """Say how a check went, and whether it passed."""
    done, seconds = checked
    good = done.returncode == 0
    print(f"[{number}/{len(STEPS)}] {name} ... {'ok' if good else 'FAILED'} in {seconds:.1f} s", flush=True)
    if not good:
        print(done.stdout + done.stderr, flush=True)
    return good


def test(number: int, name: str, folder: Path) -> bool:
    """Run tests, which show their own progress, and tell whether they passed."""
    print(f"[{number}/{len(STEPS)}] {name} ...", flush=True)
    return subprocess.run(STEPS[name], check=False, cwd=ROOT, env=surroundings(folder)).returncode == 0


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of a step, with its temporary files in this folder."""
    return {
        **{name: value for name, value in os.environ.items() if name not in LEFT_OUT},
        "TMPDIR": str(folder),
        # uv's cache is on a disk: it cannot link from there, and would warn.
        "UV_LINK_MODE": "copy",
    }


def count() -> Iterator[str]:
    """Give the number of tests that passed and failed, if pytest came far enough to record them."""
    totals = [
        {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        for suite in recorded("testsuite")
    ]
    if totals:
        bad = sum(total["failures"] + total["errors"] for total in totals)
        good = sum(total["tests"] - total["skipped"] for total in totals) - bad
        yield f"{good} passed, {bad} failed"


def skips() -> Iterator[str]:
    """Give the name and the reason of every skipped test."""
    for case in recorded("testcase"):
        reason = case.find("skipped")
        if reason is not None:
            yield f"skipped {case.get('classname')}::{case.get('name')}: {reason.get('message')}"


def recorded(kind: str) -> Iterator[ET.Element]:
    """Give all elements of a kind in what pytest recorded."""
    for report in sorted(REPORTS.glob("*.xml")):
        yield from ET.parse(report).getroot().iter(kind)


if __name__ == "__main__":
    sys.exit(main())
