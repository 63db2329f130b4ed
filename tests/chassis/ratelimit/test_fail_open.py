import asyncio

import pytest
from log_capture import capture_logs

from chassis.ratelimit import Decision, FailOpen, MemoryRateLimiter, Quota

QUOTA = Quota(1, 60)


class Broken:
    async def hit(self, key: str, quota: Quota) -> Decision:
        raise ConnectionError("the store is away")


class Silent:
    async def hit(self, key: str, quota: Quota) -> Decision:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_working_limiter_decides() -> None:
    limiter = FailOpen(MemoryRateLimiter())

    assert (await limiter.hit("a", QUOTA)).allowed
    assert not (await limiter.hit("a", QUOTA)).allowed


async def test_a_broken_limiter_allows_and_each_failure_is_counted() -> None:
    failures: list[Exception] = []
    limiter = FailOpen(Broken(), on_failure=failures.append, clock=Clock())

    with capture_logs():
        decisions = [await limiter.hit("a", QUOTA) for _ in range(3)]

    assert decisions == [Decision(True, 1, 1, 0, 0)] * 3
    assert [str(failure) for failure in failures] == ["the store is away"] * 3


def test_a_store_that_has_to_be_waited_for_decides_nothing_now() -> None:
    assert FailOpen(Broken()).hit_now is None


async def test_a_limiter_in_memory_decides_at_once() -> None:
    limiter = FailOpen(MemoryRateLimiter())

    assert limiter.hit_now is not None
    assert [limiter.hit_now("a", QUOTA).allowed, (await limiter.hit("a", QUOTA)).allowed] == [True, False]


async def test_one_that_fails_at_once_allows_as_well() -> None:
    class BrokenNow(Broken):
        def hit_now(self, key: str, quota: Quota) -> Decision:
            raise LookupError(key)

    failures: list[Exception] = []
    limiter = FailOpen(BrokenNow(), on_failure=failures.append)

    with capture_logs():
        assert limiter.hit_now is not None
        assert limiter.hit_now("a", QUOTA) == await limiter.hit("a", QUOTA) == Decision(True, 1, 1, 0, 0)
    assert [type(failure) for failure in failures] == [LookupError, LookupError]


async def test_one_warning_stands_for_the_failures_of_a_minute() -> None:
    clock = Clock()
    limiter = FailOpen(Broken(), clock=clock)

    with capture_logs() as logs:
        for _ in range(5):
            await limiter.hit("a", QUOTA)
        clock.now += 60
        await limiter.hit("a", QUOTA)

    assert [(entry["log_level"], entry["failures"], entry["error"]) for entry in logs] == [
        ("warning", 1, "ConnectionError: the store is away"),
        ("warning", 5, "ConnectionError: the store is away"),
    ]


async def test_a_store_that_does_not_answer_is_not_waited_for() -> None:
    failures: list[Exception] = []
    limiter = FailOpen(Silent(), on_failure=failures.append, timeout=0)

    with capture_logs():
        decision = await limiter.hit("a", QUOTA)

    assert decision.allowed
    assert isinstance(failures[0], TimeoutError)


async def test_a_store_has_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def at_once(seconds: float) -> asyncio.Timeout:
        given.append(seconds)
        return asyncio.timeout_at(0)

    monkeypatch.setattr("asyncio.timeout", at_once)
    with capture_logs():
        decision = await FailOpen(Silent()).hit("a", QUOTA)

    assert decision.allowed
    assert given == [0.25]


async def test_a_request_that_is_cancelled_is_no_failure() -> None:
    failures: list[Exception] = []
    task = asyncio.ensure_future(FailOpen(Silent(), on_failure=failures.append, timeout=60).hit("a", QUOTA))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert failures == []
