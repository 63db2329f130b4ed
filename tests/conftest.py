"""What every test of the template repository shares."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The chassis runs on asyncio alone, as uvicorn does."""
    return "asyncio"
