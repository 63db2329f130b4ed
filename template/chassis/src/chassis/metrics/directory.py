"""The directory in which the workers of one service exchange their values, and when there is one.

A single process has none. The workers of a parent that uses `multiprocessing`, as uvicorn's and this
chassis's do, derive it from the parent's process id and start time, so that nobody has to configure
anything. Others, such as gunicorn's, need METRICS_DIR.
"""

import fcntl
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chassis.metrics.settings import MetricsSettings


def worker_directory(settings: MetricsSettings, service: str) -> Path | None:
    """Return the directory to share with the other workers, or None in a process without siblings."""
    if settings.directory is not None:
        return settings.directory / _slug(service)
    parent = _multiprocessing_parent()
    return None if parent is None else _run_directory(parent) / _slug(service)


@contextmanager
def shared_directory(settings: MetricsSettings) -> Iterator[Path]:
    """Yield the directory that this process's workers will use, and remove it when the block ends.

    Without it everything works too: what a run leaves behind, the next start of a service of this user
    removes.
    """
    directory = settings.directory or _run_directory(os.getpid())
    try:
        yield directory
    finally:
        if settings.directory is None:
            shutil.rmtree(directory, ignore_errors=True)


def prepare(directory: Path, settings: MetricsSettings) -> None:
    """Make the directory, for this user alone. Raise OSError when that fails or it is another user's."""
    if settings.directory is None:
        root = _root()
        root.mkdir(mode=0o700, exist_ok=True)
        # The name is predictable and the temporary directory is everybody's: trust only what is ours.
        found = root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{root} belongs to another user or is open to others")
        _remove_abandoned(root, keep=directory.parent)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def is_locked(descriptor: int) -> bool:
    """Tell whether the file's owner lives: it holds a lock, which the kernel frees when it dies."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _multiprocessing_parent() -> int | None:
    # The module is in memory in a child that multiprocessing started; else it need not be imported to know.
    module = sys.modules.get("multiprocessing.process")
    parent = module.parent_process() if module is not None else None
    return None if parent is None else int(parent.pid)


def _root() -> Path:
    return Path(tempfile.gettempdir()) / f"chassis-metrics-{os.geteuid()}"


def _run_directory(parent: int) -> Path:
    # In containers the parent's id is the same at each start: its start time tells the runs apart.
    return _root() / f"{parent}-{_started(parent)}"


def _started(pid: int) -> str | None:
    """Return a text that stays the same as long as a process lives; None when it does not live."""
    if sys.platform == "linux":
        try:
            # Field 22 of proc(5): the start in clock ticks since boot. The name in field 2 may hold anything.
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        except (OSError, IndexError):
            return None
    import psutil

    try:
        return str(int(psutil.Process(pid).create_time() * 1000))
    except psutil.Error:
        return None


def _remove_abandoned(root: Path, *, keep: Path) -> None:
    for run in root.iterdir():
        pid, _, started = run.name.partition("-")
        gone = pid.isdecimal() and _started(int(pid)) != started
        if run != keep and gone and not any(_in_use(file) for file in run.glob("*/*.json")):
            shutil.rmtree(run, ignore_errors=True)


def _in_use(file: Path) -> bool:
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            return is_locked(descriptor)
        finally:
            os.close(descriptor)
    return False


def _slug(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", service) or "_"
