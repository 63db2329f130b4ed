"""What every test of the template repository shares."""

import pytest
from hypothesis import settings

# A loaded machine is slow, not wrong: no test asserts a time. Seeds are fixed so that a failure repeats.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The chassis runs on asyncio alone, as uvicorn does."""
    return "asyncio"
