"""One cache of types for all rendered services: their packages and the library in them are the same."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "build" / "mypy-rendered"


@contextmanager
def type_cache() -> Iterator[Path]:
    """Give the folder for ``--cache-dir``, to one test at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield CACHE
