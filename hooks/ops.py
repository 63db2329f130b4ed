"""Everything around the service, under the tools that would run it: `make test-ops` calls this.

It installs what the tests in tests/ops need: Debian packages (as root, or through sudo), wheels into .venv, npm
packages into build/ops. Then it runs the tests and closes with a summary that names every skipped test and why. It
fails if a test failed, and if one was skipped without one of the two reasons that are allowed. Standard library only.
"""

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "build" / "ops" / "tests.xml"
MODULES = ROOT / "build" / "ops" / "npm"
BIN = Path(sys.executable).parent

# A program that proves the package is there, and the package.
DEBIAN = {
    "amtool": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "promtool": "prometheus",
}
# Packages of npm, at exact versions.
NPM: tuple[str, ...] = ()
# Not in Debian in a version that can be used; said, and not installed.
ELSEWHERE = {"kubectl": "https://kubernetes.io/docs/tasks/tools"}

# The only reasons for a skip: what a machine may lack without anyone being able to change it.
ALLOWED = ("needs a container engine: ", "needs a system package: ")
FOLDERS = (BIN, MODULES / "node_modules" / ".bin", Path("/usr/bin"), Path("/usr/sbin"))


def main(arguments: list[str]) -> int:
    """Install, run, sum up. Returns the exit code; further arguments go to pytest."""
    began = time.monotonic()
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)
    for number, (what, problem) in enumerate(installed(), 1):
        say(f"[{number}/4] {what} ... {problem or 'ok'}")
    say("[4/4] tests ...")
    try:
        ran = subprocess.run(
            [BIN / "pytest", "tests/ops", "-m", "ops", "-q", f"--junitxml={REPORT}", *arguments],
            check=False,
            cwd=ROOT,
            env={**os.environ, "PATH": os.pathsep.join([*map(str, FOLDERS), os.environ["PATH"]])},
        )
    finally:
        sweep()
    if not REPORT.exists():
        say(f"The tests did not come to their end: pytest ended with {ran.returncode}.")
        return 1
    lines, good = summary(REPORT)
    say(f"\nEverything took {time.monotonic() - began:.0f} s")
    for line in lines:
        say(line)
    return 0 if good and ran.returncode == 0 else 1


def summary(report: Path) -> tuple[list[str], bool]:
    """Return the closing lines and whether all is well: tests ran, none failed, each skip has an allowed reason."""
    cases = list(ET.parse(report).getroot().iter("testcase"))
    bad = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = list(skips(cases))
    silent = [name for name, reason in skipped if not reason.startswith(ALLOWED)]
    lines = [f"{len(cases) - bad - len(skipped)} passed, {bad} failed, {len(skipped)} skipped"]
    lines += [f"  skipped {name}: {reason or 'no reason given'}" for name, reason in skipped]
    if silent:
        lines.append(f"Skipped for a reason that is not allowed: {', '.join(silent)}")
    if not cases:
        lines.append("No test ran.")
    return lines, bool(cases) and not bad and not silent


def installed() -> Iterator[tuple[str, str]]:
    """Install everything; gives what was installed and what went wrong."""
    yield "Debian packages", debian()
    yield "wheels", wheels()
    yield "npm packages", npm()


def debian() -> str:
    """Install the packages whose program is missing. Without root, say the line to run."""
    missing = sorted(package for program, package in DEBIAN.items() if not present(program))
    elsewhere = [
        f"{program} is missing: {page}" for program, page in ELSEWHERE.items() if not present(program)
    ]
    if not missing:
        return "; ".join(elsewhere)
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        if sudo is None:
            return "; ".join([f"needs root: {' '.join(install)}", *elsewhere])
        install = [sudo, "--non-interactive", *install]
    update = [*install[: install.index("apt-get") + 1], "update", "--quiet"]
    # Nothing that a package brings is started: the tests start what they need.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    problem = run(update, environment) or run(install, environment)
    return "; ".join(filter(None, [problem, *elsewhere]))


def wheels() -> str:
    """Install the pinned wheels into .venv, and change no package that the other tests use."""
    return run(
        [
            *(BIN / "uv", "pip", "install", "--quiet", "--python", BIN / "python"),
            *("--constraint", ROOT / "constraints.txt"),
            *("--requirement", ROOT / "tests" / "ops" / "requirements.txt"),
        ]
    )


def npm() -> str:
    """Install the npm packages, without running their scripts."""
    if not NPM:
        return "none needed"
    if shutil.which("npm") is None:
        return f"npm is missing: {', '.join(NPM)}"
    MODULES.mkdir(parents=True, exist_ok=True)
    return run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", MODULES, *NPM])


def present(program: str) -> bool:
    """Whether a program is installed."""
    return any((folder / program).exists() for folder in FOLDERS) or shutil.which(program) is not None


def run(command: Sequence[Path | str], environment: dict[str, str] | None = None) -> str:
    """Run a command; returns its output if it failed."""
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return "" if done.returncode == 0 else f"FAILED\n{done.stdout.strip()}"


def sweep() -> None:
    """Remove what a container engine left because its tests were killed."""
    notes = list(REPORT.parent.glob("engine-*.json"))
    if notes:
        sys.path.insert(0, str(ROOT / "tests" / "ops"))
        engine = importlib.import_module("engine")
        for note in notes:
            engine.sweep(note)


def skips(cases: list[ET.Element]) -> Iterator[tuple[str, str]]:
    """Every skipped test and the reason it gave."""
    for case in cases:
        found = case.find("skipped")
        if found is not None:
            reason = found.get("message", "").removeprefix("Skipped: ")
            yield f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name', '')}", reason


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
