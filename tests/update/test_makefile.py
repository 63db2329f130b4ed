"""The targets by which a service asks for updates: what they run, and how they end."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from releases import Releases

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def make(
    rendered: Callable[..., Path], releases: Releases
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a target as if everything was installed, with a program in the place of the service's own."""

    def make(*arguments: str, program: str = "echo") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "--old-file=install", *arguments, f"UV_RUN={program}"],
            cwd=rendered(releases.present),
            capture_output=True,
            text=True,
            check=False,
        )

    return make


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["update"], "chassis update"),
        (["update", "CHECK=1"], "chassis update --check"),
        (["update", "TO=0.2.1"], "chassis update --to 0.2.1"),
        (["update", "HEAL=1"], "chassis update --heal"),
        (["update", "ARGS=--data bundles=[database]"], "chassis update --data bundles=[database]"),
        (["update", "ARGS=--template ../chassis.bundle"], "chassis update --template ../chassis.bundle"),
        (["update", "ARGS=--no-tests"], "chassis update --no-tests"),
        (["update", "ARGS=--keep"], "chassis update --keep"),
        (["verify"], "chassis verify"),
    ],
)
def test_a_target_runs_the_command_with_its_options(
    make: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], command: str
) -> None:
    assert make(*arguments).stdout.split() == command.split()


@pytest.mark.parametrize(("code", "shown"), [(0, 0), (1, 2), (2, 2)])
def test_make_tells_no_failure_from_another(
    make: Callable[..., subprocess.CompletedProcess[str]], code: int, shown: int
) -> None:
    assert make("update", program=f"sh -c 'exit {code}'").returncode == shown
