"""Counting the instructions of a program with valgrind."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")


def count(arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> int:
    """Return the instructions of one run of Python with these arguments, all threads together.

    It runs in ``folder``, or where this process is.

    Raises ``RuntimeError`` when the program fails, or when valgrind is not installed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={scratch}/out"]
        try:
            done = subprocess.run(
                [*valgrind, sys.executable, *arguments],
                check=False,
                capture_output=True,
                text=True,
                cwd=folder,
                # One order of sets in every run, and no run that writes what the next one finds.
                env={**environment, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except FileNotFoundError as error:
            raise RuntimeError("valgrind is not installed (on Debian: apt install valgrind)") from error
    counted = _COUNTED.search(done.stderr)
    if done.returncode != 0 or counted is None:
        raise RuntimeError(f"{' '.join(arguments)} could not be counted:\n{done.stderr[-3000:]}")
    return int(counted[1].replace(",", ""))
