"""Running other programs so that none outlives an update that is stopped."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

__all__ = ["Completed", "Running", "held", "run", "stoppable", "surroundings"]

# They tell a program which tree or environment it works on, and would name the service's own.
MISLEADING = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "MFLAGS",
    "PYTHONPATH",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "VIRTUAL_ENV",
)
STOPPING = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended and what it printed. ``output`` is standard output, then the errors."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Everything that was printed."""
        return "\n".join(text.strip() for text in (self.stdout, self.stderr) if text.strip())


class Running:
    """A program at work, in a process group of its own, which is killed when an exception leaves the block.

    Raises ``OSError`` if it cannot be started.
    """

    def __init__(
        self, command: Sequence[str | Path], directory: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - fixed commands, no shell
            [str(part) for part in command],
            cwd=directory,
            env=surroundings(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def wait(self, text: str = "") -> Completed:
        """Wait for its end; ``text`` is its standard input."""
        stdout, stderr = self._process.communicate(text)
        return Completed(self._process.returncode, stdout, stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._process:
            # One that was waited for has no number any more: another program may have it.
            if kind is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)


def run(
    command: Sequence[str | Path],
    directory: Path,
    *,
    environ: Mapping[str, str] | None = None,
    text: str = "",
) -> Completed:
    """Run a program to its end. ``text`` is its standard input. Raises ``OSError`` if it cannot be started."""
    with Running(command, directory, environ) as running:
        return running.wait(text)


def surroundings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a program: this one without what misleads it, and what is given."""
    kept = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", **(environ or {})}


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that it cleans up after itself."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal that would end the block wait for its end: for what must be known as done or as not done."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    # Not by a mask: it holds for one thread, and any other thread would take the signal.
    before = {number: signal.signal(number, note) for number in (*STOPPING, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
