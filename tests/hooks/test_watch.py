"""A command that is watched leaves no process behind, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")

# Starts a process in a session of its own, tells its number, and ends as it is told.
COMMAND = """\
import os, signal, subprocess, sys
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(left.pid, flush=True)
{end}
"""
WATCHER = """\
import sys
sys.path.insert(0, {hooks!r})
import watch
from pathlib import Path
try:
    code = watch.watched([sys.executable, "-c", {command!r}], cwd=Path("/"))
except KeyboardInterrupt:
    code = 130
print(code, flush=True)
"""


@pytest.fixture
def watcher(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[subprocess.Popen[str]]:
    command = COMMAND.format(end=request.param)
    script = WATCHER.format(hooks=str(pytestconfig.rootpath / "hooks"), command=command)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def runs(pid: int) -> bool:
    return Path("/proc", str(pid)).exists()


@pytest.mark.parametrize(
    ("watcher", "code"),
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -9)],
    indirect=["watcher"],
    ids=["ends", "is-killed"],
)
def test_what_a_command_leaves_is_ended(watcher: subprocess.Popen[str], code: int) -> None:
    left = line(watcher)
    assert line(watcher) == code
    assert not runs(left)


@pytest.mark.parametrize("watcher", ["signal.pause()"], indirect=True, ids=["waits"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_what_it_has_started(
    watcher: subprocess.Popen[str], number: signal.Signals
) -> None:
    left = line(watcher)
    os.kill(watcher.pid, number)
    assert line(watcher) == 130
    assert not runs(left)
