import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ratelimit import Quota


@pytest.mark.parametrize(
    ("text", "requests", "window"),
    [
        ("10/60", 10, 60),
        ("10/60s", 10, 60),
        (" 10 / 60 s ", 10, 60),
        ("10/s", 10, 1),
        ("10/second", 10, 1),
        ("10/minute", 10, 60),
        ("10/5m", 10, 300),
        ("10/2 Minutes", 10, 120),
        ("5/hour", 5, 3_600),
        ("1/day", 1, 86_400),
        ("1/31d", 1, 2_678_400),
    ],
)
def test_a_quota_is_read(text: str, requests: int, window: int) -> None:
    assert Quota.parse(text) == Quota(requests, window)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "10/",
        "/60",
        "0/60",
        "10/0",
        "10/0m",
        "-1/60",
        "10/32d",
        "10/fortnight",
        "1.5/60",
        "10/60/60",
        "\u0661/60",
        "9" * 99,
    ],
)
def test_anything_else_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="is no quota: "):
        Quota.parse(text)


@given(st.integers(1, 10**9), st.integers(1, 86_400))
def test_the_plain_form_round_trips(requests: int, window: int) -> None:
    assert Quota.parse(f"{requests}/{window}", name="x") == Quota(requests, window, "x")


@given(st.text())
def test_any_text_is_a_quota_or_a_value_error(text: str) -> None:
    try:
        quota = Quota.parse(text)
    except ValueError:
        return
    assert quota.requests >= 1
    assert quota.window >= 1
