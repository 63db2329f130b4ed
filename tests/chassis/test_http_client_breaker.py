"""The circuit breaker, on a clock that only the test moves."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Unavailable
from chassis.http_client import CircuitBreaker, CircuitOpen, CircuitState, HttpClient, HttpClientSettings
from chassis.testing import FakeClock


class BoomError(Exception):
    """What a failing call raises."""


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(BoomError), breaker.permit():
            raise BoomError


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with breaker.permit():
            pass


def test_failures_in_a_row_open_the_circuit() -> None:
    breaker = CircuitBreaker("billing", failures=3)
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_success_ends_the_row_of_failures() -> None:
    breaker = CircuitBreaker("billing", failures=3)
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED


def test_a_share_of_failures_opens_the_circuit_once_enough_calls_were_seen() -> None:
    breaker = CircuitBreaker("billing", failures=100, failure_rate=0.5, minimum_calls=4, clock=FakeClock())
    for _ in range(2):
        succeed(breaker)
    fail(breaker)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_old_failures_leave_the_window() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(
        "billing", failures=100, failure_rate=0.5, minimum_calls=4, window=30, clock=clock
    )
    fail(breaker, 3)
    clock.advance(31)
    fail(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_an_open_circuit_refuses_and_says_for_how_long() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("billing", failures=1, open_seconds=15, clock=clock)
    fail(breaker)
    clock.advance(5)
    with pytest.raises(CircuitOpen) as caught:
        breaker.permit()
    assert caught.value.retry_after == pytest.approx(10)
    assert caught.value.headers["Retry-After"] == "10"
    assert isinstance(caught.value, Unavailable)
    assert (caught.value.status, caught.value.code) == (503, "CIRCUIT_OPEN")
    assert "billing" in str(caught.value)


def half_open(clock: FakeClock, *, probes: int = 1) -> CircuitBreaker:
    breaker = CircuitBreaker("billing", failures=1, open_seconds=15, probes=probes, clock=clock)
    fail(breaker)
    clock.advance(15)
    return breaker


def test_an_open_circuit_is_half_open_after_its_time() -> None:
    assert half_open(FakeClock()).state is CircuitState.HALF_OPEN


def test_a_half_open_circuit_lets_a_limited_number_of_probes_through() -> None:
    breaker = half_open(FakeClock(), probes=2)
    breaker.permit()
    breaker.permit()
    with pytest.raises(CircuitOpen):
        breaker.permit()


def test_the_circuit_closes_when_all_probes_succeeded() -> None:
    breaker = half_open(FakeClock(), probes=2)
    succeed(breaker)
    assert breaker.state is CircuitState.HALF_OPEN
    succeed(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_a_failed_probe_opens_the_circuit_for_its_whole_time() -> None:
    clock = FakeClock()
    breaker = half_open(clock)
    fail(breaker)
    clock.advance(14)
    assert breaker.state is CircuitState.OPEN


def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker = half_open(FakeClock())
    with pytest.raises(asyncio.CancelledError), breaker.permit():
        raise asyncio.CancelledError
    assert breaker.state is CircuitState.HALF_OPEN
    succeed(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_an_ignored_call_counts_as_neither_success_nor_failure() -> None:
    breaker = CircuitBreaker("billing", failures=2)
    fail(breaker)
    with breaker.permit() as permit:
        permit.ignored()
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_call_that_outlived_its_state_says_nothing_about_the_present_one() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("billing", failures=1, open_seconds=15, clock=clock)
    slow = breaker.permit()
    fail(breaker)
    clock.advance(15)
    succeed(breaker)
    assert breaker.state is CircuitState.CLOSED
    slow.failed()
    assert breaker.state is CircuitState.CLOSED


def test_the_first_word_about_a_call_counts() -> None:
    breaker = CircuitBreaker("billing", failures=1)
    permit = breaker.permit()
    permit.succeeded()
    permit.failed()
    assert breaker.state is CircuitState.CLOSED


def test_every_change_of_state_is_announced_the_first_included() -> None:
    clock = FakeClock()
    seen: list[CircuitState] = []
    breaker = CircuitBreaker("billing", failures=1, open_seconds=15, clock=clock, on_change=seen.append)
    fail(breaker)
    clock.advance(15)
    succeed(breaker)
    assert seen == [
        CircuitState.CLOSED,
        CircuitState.OPEN,
        CircuitState.HALF_OPEN,
        CircuitState.CLOSED,
    ]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=60))
def test_an_open_circuit_always_lets_a_call_through_after_its_time(calls: list[tuple[bool, float]]) -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("billing", failures=2, open_seconds=15, minimum_calls=5, clock=clock)
    for failing, pause in calls:
        clock.advance(pause)
        try:
            permit = breaker.permit()
        except CircuitOpen:
            continue
        if failing:
            permit.failed()
        else:
            permit.succeeded()
    clock.advance(15.001)
    breaker.permit().succeeded()
    assert breaker.state is CircuitState.CLOSED


def alternate(breaker: CircuitBreaker, calls: int) -> None:
    for number in range(calls):
        (fail if number % 2 else succeed)(breaker)


def of_a_client(clock: FakeClock, **settings: float) -> CircuitBreaker:
    chosen = HttpClientSettings.model_validate({"trust_env": False, **settings})
    return HttpClient(chosen, target="billing", clock=clock).breaker


def alone(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker("billing", clock=clock)


@pytest.mark.parametrize("make", [of_a_client, alone])
class TestDefaults:
    def test_five_failures_in_a_row_open_it(self, make: Callable[[FakeClock], CircuitBreaker]) -> None:
        breaker = make(FakeClock())
        fail(breaker, 4)
        assert breaker.state is CircuitState.CLOSED
        fail(breaker)
        assert breaker.state is CircuitState.OPEN

    def test_half_of_twenty_calls_opens_it(self, make: Callable[[FakeClock], CircuitBreaker]) -> None:
        breaker = make(FakeClock())
        alternate(breaker, 19)
        assert breaker.state is CircuitState.CLOSED
        fail(breaker)
        assert breaker.state is CircuitState.OPEN

    @pytest.mark.parametrize(("pause", "state"), [(26, CircuitState.OPEN), (30, CircuitState.CLOSED)])
    def test_calls_count_for_thirty_seconds(
        self, make: Callable[[FakeClock], CircuitBreaker], pause: float, state: CircuitState
    ) -> None:
        clock = FakeClock(0)
        breaker = make(clock)
        alternate(breaker, 18)
        clock.advance(pause)
        alternate(breaker, 2)
        assert breaker.state is state

    def test_one_call_passes_after_fifteen_seconds(self, make: Callable[[FakeClock], CircuitBreaker]) -> None:
        clock = FakeClock()
        breaker = make(clock)
        fail(breaker, 5)
        clock.advance(14.9)
        with pytest.raises(CircuitOpen):
            breaker.permit()
        clock.advance(0.1)
        probe = breaker.permit()
        with pytest.raises(CircuitOpen):
            breaker.permit()
        probe.succeeded()
        assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize(
    ("settings", "pause", "successes", "state"),
    [
        ({"breaker_failures": 6}, 0, 0, CircuitState.CLOSED),
        ({"breaker_open_seconds": 1}, 1, 0, CircuitState.HALF_OPEN),
        ({"breaker_probes": 2}, 15, 1, CircuitState.HALF_OPEN),
    ],
)
def test_a_client_takes_from_its_settings_when_it_opens_and_closes(
    settings: dict[str, float], pause: float, successes: int, state: CircuitState
) -> None:
    clock = FakeClock()
    breaker = of_a_client(clock, **settings)
    fail(breaker, 5)
    clock.advance(pause)
    succeed(breaker, successes)
    assert breaker.state is state


@pytest.mark.parametrize(
    ("setting", "value"), [("failure_rate", 0.51), ("minimum_calls", 21), ("window", 10)]
)
def test_a_client_takes_from_its_settings_which_calls_count(setting: str, value: float) -> None:
    clock = FakeClock(0)
    breaker = of_a_client(clock, **{f"breaker_{setting}": value})
    alternate(breaker, 18)
    clock.advance(15)
    alternate(breaker, 2)
    assert breaker.state is CircuitState.CLOSED
