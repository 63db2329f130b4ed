"""Running an application's lifespan as a server does."""

from typing import Any

import pytest
from starlette.applications import Starlette

from chassis.testing import LifespanError, running


def app_that(events: list[str], *, fail: str = "") -> Starlette:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        events.append("start")
        if fail == "start":
            raise ConnectionError("no database")
        yield
        events.append("stop")
        if fail == "stop":
            raise ConnectionError("still in use")

    return Starlette(lifespan=lifespan)


async def test_the_application_runs_inside_the_block() -> None:
    events: list[str] = []
    async with running(app_that(events)):
        events.append("test")
    assert events == ["start", "test", "stop"]


async def test_the_application_stops_when_the_test_fails() -> None:
    events: list[str] = []
    with pytest.raises(LookupError):
        async with running(app_that(events)):
            raise LookupError
    assert events == ["start", "stop"]


@pytest.mark.parametrize(("phase", "reason"), [("start", "no database"), ("stop", "still in use")])
async def test_a_failure_of_the_lifespan_is_the_callers(phase: str, reason: str) -> None:
    with pytest.raises(LifespanError, match=reason):
        async with running(app_that([], fail=phase)):
            pass


async def test_an_application_that_crashes_is_told() -> None:
    async def app(*_: object) -> None:
        raise KeyError("lifespan")

    with pytest.raises(LifespanError, match="KeyError"):
        async with running(app):
            pass


async def test_an_application_without_a_lifespan_is_told() -> None:
    async def app(*_: object) -> None:
        return

    with pytest.raises(LifespanError, match="ended its lifespan"):
        async with running(app):
            pass
