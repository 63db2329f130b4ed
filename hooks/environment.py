"""The repository's own environment, `.venv`: ``python hooks/environment.py tools|all [--fresh]``.

``tools`` is what renders and installs (uv, Copier), ``all`` what the tests need too. Versions come from
constraints.txt, or with ``--fresh`` from the package index. Standard library only, and syntax that an old
Python can read: this file is what tells that it is too old.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)


def main(arguments: "list[str]") -> int:
    """Prepare the environment; one sentence on the error output says what is missing."""
    problem = problem_of_python(sys.version_info[:2]) or make_venv() or install(arguments)
    if problem:
        sys.stderr.write(problem + "\n")
        return 1
    return 0


def problem_of_python(version: "tuple[int, int]") -> str:
    """Say what this Python lacks, or nothing."""
    if version < OLDEST:
        named = ".".join(str(number) for number in version)
        return f"Python 3.11 or later is needed, this is {named}: name another with make PYTHON=python3.12"
    try:
        import ensurepip
        import venv
    except ImportError:
        return (
            "This Python cannot make virtual environments: install its venv package "
            "(on Debian: apt install python3-venv) or name another with make PYTHON=python3.12"
        )
    del ensurepip, venv
    return ""


def make_venv() -> str:
    """Create `.venv` unless it is there."""
    if (VENV / "bin" / "python").exists():
        return ""
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
    return (
        "" if done.returncode == 0 else "The environment .venv could not be created; the lines above say why."
    )


def install(arguments: "list[str]") -> str:
    """Install the tools, and with ``all`` everything."""
    pinned = [] if "--fresh" in arguments else ["--constraint", str(ROOT / "constraints.txt")]
    newest = ["--upgrade"] if "--fresh" in arguments else []
    python, uv = VENV / "bin" / "python", VENV / "bin" / "uv"
    with_uv = [str(uv), "pip", "install", "--quiet", "--python", str(python)]
    with_pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [[*(with_uv if uv.exists() else with_pip), *newest, *pinned, "uv", "copier"]]
    if "all" in arguments:
        steps = [*steps, [*with_uv, *newest, *pinned, "--requirement", "pyproject.toml", "--group", "dev"]]
    for step in steps:
        if subprocess.run(step, check=False, cwd=str(ROOT)).returncode != 0:
            return "The packages could not be installed; the lines above say why."
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
