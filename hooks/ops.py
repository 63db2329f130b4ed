"""Everything around the service, under the tools that would run it: `make test-ops` calls this.

It installs what the tests in tests/ops need: Debian packages (as root, or through sudo), wheels into .venv, npm
packages into build/ops. Then it runs the tests and closes with a summary that names every skipped test and why. It
fails if a test failed, and if one was skipped without one of the two reasons that are allowed. Nothing that was
started is left when it ends, also after a failure, SIGTERM or a killed pytest. Standard library only.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "ops"
# Beside it, what a person does step by step is marked in these: it takes long, and real tools.
FOLDERS_OF_TESTS = ["tests/ops", "tests/boot", "tests/render", "tests/update"]
REPORT = ROOT / "build" / "ops" / "tests.xml"
MODULES = ROOT / "build" / "ops" / "npm"
BIN = Path(sys.executable).parent

# A program that proves the package is there, and the package.
DEBIAN = {
    "amtool": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "git": "git",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "promtool": "prometheus",
}

# The only reasons for a skip: what a machine may lack without anyone being able to change it.
ALLOWED = ("needs a container engine: ", "needs a system package: ")
FOLDERS = (BIN, MODULES / "node_modules" / ".bin", Path("/usr/bin"), Path("/usr/sbin"))
# What this make was told is not meant for the makes that tests start.
# As hooks/checks.py does, and for the same reasons.
LEFT_OUT = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHONDONTWRITEBYTECODE"}
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Install, run, sum up. Returns the exit code; further arguments go to pytest."""
    began = time.monotonic()
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)
    engine = sibling(TESTS / "engine.py")
    # what a run left that was killed together with this program
    engine.sweep_all(REPORT.parent)
    for number, (what, problem) in enumerate(installed(), 1):
        say(f"[{number}/4] {what} ... {problem or 'ok'} ({time.monotonic() - began:.0f} s)")
    say("[4/4] tests ...")
    pytest = [BIN / "pytest", *FOLDERS_OF_TESTS, "-m", "ops", "-q", f"--junitxml={REPORT}"]
    # Two folders at a time: half of each is waiting. A folder stays in one process, with what it has started.
    pytest += ["-n", "2", "--no-loadscope-reorder", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment["PATH"] = os.pathsep.join([*map(str, FOLDERS), os.environ["PATH"]])
    watch = sibling(ROOT / "hooks" / "watch.py")
    try:
        code = watch.watched(
            pytest,
            cwd=ROOT,
            env=environment,
            afterwards=lambda: engine.sweep_all(REPORT.parent),
        )
    except KeyboardInterrupt:
        say("Interrupted. What was started is stopped.")
        return INTERRUPTED
    if not REPORT.exists():
        say(f"The tests did not come to their end: pytest ended with {code}.")
        return 1
    lines, good = summary(REPORT)
    say(f"\nEverything took {time.monotonic() - began:.0f} s")
    for line in lines:
        say(line)
    return 0 if good and code == 0 else 1


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
    if not missing:
        return ""
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        if sudo is None:
            return f"needs root: {' '.join(install)}"
        install = [sudo, "--non-interactive", *install]
    update = [*install[: install.index("apt-get") + 1], "update", "--quiet"]
    # Nothing that a package brings is started: the tests start what they need.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    return run(update, environment) or run(install, environment)


def wheels() -> str:
    """Install the wheels that the folders of tests/ops name, and change no package that the other tests use."""
    requirements = sorted(TESTS.rglob("requirements.txt"))
    return run(
        [
            *(BIN / "uv", "pip", "install", "--quiet", "--python", BIN / "python"),
            *("--constraint", ROOT / "constraints.txt"),
            *(word for file in requirements for word in ("--requirement", file)),
        ]
    )


def npm() -> str:
    """Install the npm packages that the folders of tests/ops name, without running their scripts."""
    named = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(TESTS.rglob("package.json"))]
    wanted = sorted({f"{name}@{version}" for file in named for name, version in file["dependencies"].items()})
    if not wanted:
        return "none needed"
    program = next((folder / "npm" for folder in FOLDERS if (folder / "npm").exists()), shutil.which("npm"))
    if program is None:
        return f"npm is missing: {', '.join(wanted)}"
    done = MODULES / "wanted.json"
    if done.exists() and json.loads(done.read_text(encoding="utf-8")) == wanted:
        return ""
    MODULES.mkdir(parents=True, exist_ok=True)
    problem = run([program, "install", "--silent", "--ignore-scripts", "--prefix", MODULES, *wanted])
    if not problem:
        done.write_text(json.dumps(wanted), encoding="utf-8")
    return problem


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


def sibling(file: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
