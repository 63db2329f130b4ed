"""What the layer reads of a request's headers."""

import pytest

from chassis.middleware.arrival import length_of, read_arrival, request_id_of, user_agent_of


def test_only_what_is_needed_is_read() -> None:
    headers = [
        (b"host", b"orders"),
        (b"accept", b"*/*"),
        (b"origin", b"https://a.example"),
        (b"cookie", b"x"),
    ]
    assert read_arrival({"headers": headers}) == {b"host": b"orders", b"origin": b"https://a.example"}


def test_lines_of_one_name_are_joined_so_that_none_of_them_is_believed_alone() -> None:
    arrival = read_arrival({"headers": [(b"host", b"orders"), (b"host", b"evil.net"), (b"host", b"third")]})
    assert arrival == {b"host": b"orders,evil.net,third"}


@pytest.mark.parametrize(
    ("given", "length"),
    [
        (b"0", 0),
        (b"12", 12),
        (b"12,12", None),
        (b"-1", None),
        (b" 1", None),
        (b"1e3", None),
        (b"", None),
        (b"9" * 18, 10**18 - 1),
        (b"9" * 19, 10**19 - 1),
        (b"1" + b"0" * 18, 10**18),
        (b"0" * 18 + b"999999999", 999_999_999),
        (b"0" * 5_000, 0),
        (b"9" * 5_000, 10**19 - 1),
    ],
)
def test_a_length_is_a_number_or_none(given: bytes, length: int | None) -> None:
    assert length_of(given) == length


def test_two_request_ids_are_none() -> None:
    arrival = read_arrival({"headers": [(b"x-request-id", b"first-one"), (b"x-request-id", b"second-one")]})
    assert request_id_of(arrival[b"x-request-id"]) not in {"first-one", "second-one", "first-one,second-one"}


def test_a_client_says_at_most_512_characters_about_itself() -> None:
    assert user_agent_of({b"user-agent": b"\xe9" * 600}) == "é" * 512
    # What the cut leaves of a word may be half a secret, which no rule knows.
    cut = b"curl " + b"x" * 490 + b" https://user:hunter2hunter2@example.com"
    assert user_agent_of({b"user-agent": cut}) == "curl " + "x" * 490
    assert user_agent_of({}) == ""
