"""Packages that the benchmarks alone use, each requirement file in a folder of its own.

Only the subject ``usual`` sees those of the usual stack, so that no other subject runs beside them.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("peers.txt")
NEEDING = frozenset({"usual"})


def environment(subject: str) -> dict[str, str]:
    """Return the environment of a program that runs a subject, the packages installed if it needs them.

    Nothing else of the caller's environment is in it: settings of the chassis are read from there.
    """
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
    if subject in NEEDING:
        kept["PYTHONPATH"] = str(folder())
    return kept


def folder(requirements: Path = REQUIREMENTS) -> Path:
    """Return the folder of some packages; they are installed once for each content of the file."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    place = ROOT / "build" / "bench" / f"{requirements.stem}-{digest}"
    if not place.exists():
        uv = Path(sys.executable).with_name("uv")
        command: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
        subprocess.run([*command, "--target", place, "--requirement", requirements], check=True)
    return place
