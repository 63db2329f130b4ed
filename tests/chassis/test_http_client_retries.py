"""Back-off, ``Retry-After`` and the retry budget."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.http_client import RetryBudget, backoff, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("retry", "longest_wait"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (5000, 5.0)])
def test_the_longest_wait_doubles_up_to_its_bound(retry: int, longest_wait: float) -> None:
    assert backoff(retry, initial=0.1, longest=5.0, jitter=lambda: 1.0) == pytest.approx(longest_wait)


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 60))
def test_a_wait_lies_between_nothing_and_its_bound(retry: int, initial: float, longest: float) -> None:
    assert 0 <= backoff(retry, initial=initial, longest=longest) <= longest


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("999999999", 86_400.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 12:00:30", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2099 11:00:00 GMT", 86_400.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_understood_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


def test_a_date_is_measured_from_the_present_by_default() -> None:
    past = (datetime.now(UTC) - timedelta(days=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert parse_retry_after(past) == 0.0


@given(st.text())
def test_no_text_breaks_the_parser(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds <= 86_400


def test_a_burst_of_retries_is_allowed_and_then_no_more() -> None:
    budget = RetryBudget(ratio=0.2, burst=2)
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_calls_pay_for_later_retries() -> None:
    budget = RetryBudget(ratio=0.5, burst=1)
    budget.take()
    budget.record_call()
    assert not budget.take()
    budget.record_call()
    assert budget.take()


@given(st.integers(0, 2000), st.sampled_from([0.0, 0.125, 0.25, 0.5]), st.integers(0, 20))
def test_an_outage_sees_no_more_retries_than_the_budget(calls: int, ratio: float, burst: int) -> None:
    budget = RetryBudget(ratio=ratio, burst=burst)
    retries = 0
    for _ in range(calls):
        budget.record_call()
        retries += sum(budget.take() for _ in range(3))
    assert retries <= burst + calls * ratio
