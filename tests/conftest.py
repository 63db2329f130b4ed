"""What every test of the template repository shares."""

import contextlib
import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from chassis.startup import import_fastapi

# As the process of a service does it: every test is one of this form too.
import_fastapi()

# A loaded machine is slow, not wrong: no test asserts a time. Seeds are fixed so that a failure repeats.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The chassis runs on asyncio alone, as uvicorn does."""
    return "asyncio"


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], Any]:
    """Make something in a folder of its own, in the first worker that wants it; all get what was returned."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], Any]) -> Any:
        result = shared / f"{name}.pickle"
        with locked(shared / f"{name}.lock"):
            if not result.exists():
                shutil.rmtree(shared / name, ignore_errors=True)
                result.write_bytes(pickle.dumps(make(shared / name)))
        return pickle.loads(result.read_bytes())

    return made


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Wait until no other worker holds the file."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
