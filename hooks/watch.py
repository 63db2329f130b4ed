"""Run a command so that nothing it has started is left, however it ends. Standard library only.

On Linux this process adopts what the command leaves behind (``PR_SET_CHILD_SUBREAPER``, prctl(2)), also processes in
sessions of their own, and ends it. Elsewhere only the command's own process group is ended.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Seconds that the command has to stop what it has started, after SIGTERM.
GRACE = 60.0
# Seconds between two looks at whether somebody has told it to end.
GLANCE = 0.2
PR_SET_CHILD_SUBREAPER = 36


def watched(
    command: Sequence[Path | str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    afterwards: Callable[[], None] = lambda: None,
) -> int:
    """Run a command to its end and return its exit code; ``afterwards`` is called in any case.

    Raises `KeyboardInterrupt` after SIGTERM or SIGINT, when the command and everything it started have ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    told: list[int] = []
    # A handler that raised could do so before the process has a name. Told twice, it stops no faster: what is half
    # stopped would be left.
    before = {
        number: signal.signal(number, lambda number, _: told.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        process = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True)
        code = end_of(process, told)
        end_descendants()
    finally:
        afterwards()
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        raise KeyboardInterrupt
    return code


def end_of(process: subprocess.Popen[bytes], told: list[int]) -> int:
    """Wait for a process. When told, ask its whole group to end, and end it after `GRACE` seconds."""
    while not told:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(GLANCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        return process.wait(GRACE)
    os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def end_descendants() -> None:
    """Kill every process that descends from this one, until none is left."""
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and (found := descendants()):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def descendants() -> set[int]:
    """Find the processes below this one, as Linux tells them; none elsewhere."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # the name before the last `)` may hold anything
            parents[int(stat.parent.name)] = int(
                stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            )
    found: set[int] = set()
    newer = {os.getpid()}
    while newer:
        newer = {pid for pid, parent in parents.items() if parent in newer} - found
        found |= newer
    return found
