"""The clock that a test moves."""

import asyncio

import pytest

from chassis.testing import FakeClock


def test_it_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock()
    start = clock()
    assert clock() == start
    clock.advance(2.5)
    assert clock() == start + 2.5


def test_it_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)


async def test_its_sleep_takes_no_time_and_is_remembered() -> None:
    clock = FakeClock(now=10)
    await clock.sleep(3600)
    assert clock() == 3610
    assert clock.slept == [3600]


async def test_its_sleep_lets_other_tasks_run() -> None:
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    task = asyncio.create_task(other())
    await FakeClock().sleep(1)
    assert ran == ["other"]
    await task
