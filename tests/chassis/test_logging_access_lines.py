"""The quick form of the access line is, byte for byte, the pipeline's."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.logging import AccessLog, LoggingSettings, configure_logging, unconfigure_logging
from chassis.logging.access_lines import AccessLines, Record
from chassis.logging.loggers import ACTIVE
from chassis.logging.pipeline import Pipeline
from chassis.masking import Masker

HEX = "0af7651916cd43dd8448eb211c80319c"


class Nothing:
    """A sink that keeps nothing."""

    dropped = 0

    def write(self, line: bytes) -> None:
        pass

    def flush(self) -> None:
        pass


LINES = AccessLines(Pipeline(Nothing(), service="or\u2028ders", environment="production"))
STRICT = AccessLines(Pipeline(Nothing(), masker=Masker(mask_ips=True, sensitive_keys=["badge"])))
ODD = AccessLines(Pipeline(Nothing(), masker=Masker(sensitive_keys=["path", "status"])))

nasty = st.text(
    st.sampled_from("ab0123456789/=\"' \\\n\x00\x7f\x85\u2028\u202e\ud800é\U000e0041{}@.:-_%+?&")
    | st.characters(),
    max_size=30,
)
secrets = st.sampled_from(
    [
        *(
            "password=hunter2hunter2",
            "ann@example.com",
            "4111111111111111",
            "4111/1111/1111/1111",
            "DE89370400440532013000",
        ),
        *(
            "/cards/4111111111111111",
            "bearer abcdef123456",
            "/a/4111/111111/1111",
            "4222222222222",
            "203.0.113.7",
        ),
        *(
            "/12/3456",
            "/x/12/3456/y",
            "/378282246310005",
            "be68539007547034",
            HEX,
            HEX.upper(),
            HEX[:-1] + " ",
            "/\u0664\u0664",
        ),
    ]
)
texts = st.sampled_from(["/items/42", "/items/100042", "/orders/4711/lines/", "", "/", "*"]) | secrets | nasty
values = nasty | secrets | st.integers() | st.floats() | st.none() | st.booleans()
names = st.sampled_from(
    [
        "customer",
        "tenant",
        "password",
        "path",
        "client",
        "level",
        "logger",
        "caller",
        "badge",
        "status",
        "exception",
    ]
)
spans = st.sampled_from(
    [HEX[:16], "be68539007547034", "BE68539007547034", "4111111111111111", "4222222222222abc"]
)
contexts = (
    st.just(HEX)
    | texts
    | st.dictionaries(names | nasty, values, max_size=3)
    | st.fixed_dictionaries(
        {
            "request_id": st.just(HEX) | texts | values,
            "trace_id": st.just(HEX) | values,
            "span_id": st.sampled_from([HEX[:16]]) | values,
        },
        optional={"customer": values, "note": st.lists(nasty, max_size=2)},
    )
)
seconds = st.floats(0, 100) | st.floats() | st.integers(0, 10**6).map(lambda number: number / 1e6)
records = st.tuples(
    st.floats(1e9, 4e9) | st.floats(1e9, 1e9 + 1) | st.floats(0, 10),
    contexts,
    texts,
    seconds,
    st.sampled_from([10, 20, 30, 40]),
    st.just("GET") | texts,
    texts,
    st.integers(100, 599),
    st.none() | st.just("203.0.113.7") | texts,
    texts,
)


@pytest.mark.parametrize("lines", [LINES, STRICT, ODD], ids=["plain", "strict", "fixed names are sensitive"])
@given(st.lists(records, min_size=1, max_size=3))
@settings(deadline=None, max_examples=150)
def test_the_quick_form_is_the_pipelines_own(lines: AccessLines, found: list[Record]) -> None:
    assert lines.render(found) == [lines.slow(record) for record in found]


def test_finished_lines_pass_as_they_are() -> None:
    assert LINES.render([b"one\n", b"two\n"]) == [b"one\n", b"two\n"]


def test_what_clients_choose_does_not_fill_the_memory() -> None:
    for number in range(3_000):
        LINES.render([(float(number), HEX, "/", 0.0, 20, f"M{number}", "/", 200, f"c{number}", f"a{number}")])
    assert len(LINES._shapes) <= 1_024
    assert len(LINES._peers) <= 1_024


# What is recorded.


@pytest.fixture
def taken() -> Iterator[list[Any]]:
    """Configure logging as in production, and catch what would wait in the buffer."""
    unconfigure_logging()
    configure_logging(LoggingSettings(), service="orders", environment="production")
    entries: list[Any] = []
    assert ACTIVE.put_access is not None
    ACTIVE.put_access = entries.append
    yield entries
    unconfigure_logging()


def record(fields: dict[str, object], status: int = 200, *, quiet: bool = False) -> None:
    AccessLog().record(fields, "GET", "/x", "/x", status, 0.001, "c", "agent", quiet)


def test_a_request_is_recorded_and_not_rendered(taken: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    record({"request_id": HEX})
    assert taken[0][1:] == (HEX, "/x", 0.001, logging.INFO, "GET", "/x", 200, "c", "agent")
    assert capsys.readouterr().out == ""


def test_what_is_bound_later_is_not_on_the_line(taken: list[Any]) -> None:
    fields: dict[str, object] = {"request_id": HEX, "customer": "ann"}
    record(fields)
    fields["customer"] = "bob"
    assert taken[0][1] == {"request_id": HEX, "customer": "ann"}


def test_what_could_change_until_it_is_rendered_is_rendered_at_once(
    taken: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    items = ["one"]
    record({"request_id": HEX, "items": items})
    items.append("two")
    unconfigure_logging()
    assert taken == []
    assert json.loads(capsys.readouterr().out)["items"] == ["one"]


@pytest.mark.parametrize("large", ["x" * 5_000, 10**10_000], ids=["text", "number"])
def test_what_would_fill_the_memory_while_it_waits_is_rendered_at_once(
    taken: list[Any], large: object, capsys: pytest.CaptureFixture[str]
) -> None:
    record({"request_id": HEX, "trace_id": HEX, "span_id": HEX[:16], "large": large})
    record({"request_id": HEX, "large": large})
    unconfigure_logging()
    assert taken == []
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_levels_of_the_access_log_change_while_the_process_runs(taken: list[Any]) -> None:
    logger, access = logging.getLogger("chassis.access"), AccessLog()

    def statuses() -> list[int]:
        taken.clear()
        for status, quiet in ((200, False), (200, True), (404, False), (503, False)):
            access.record({"request_id": HEX}, "GET", "/x", "/x", status, 0.001, None, "", quiet)
        return [entry[7] for entry in taken]

    try:
        assert statuses() == [200, 404, 503]
        logger.setLevel(logging.ERROR)
        assert statuses() == [503]
        logger.setLevel(logging.DEBUG)
        assert statuses() == [200, 200, 404, 503]
    finally:
        logger.setLevel(logging.NOTSET)
    assert statuses() == [200, 404, 503]


@pytest.mark.parametrize(
    "fields", [{"format": "console"}, {"caller": True}, {"flush_interval": 0}, {"flush_interval": "0"}]
)
def test_other_forms_and_lines_without_a_buffer_go_the_whole_way(fields: dict[str, Any]) -> None:
    unconfigure_logging()
    configure_logging(LoggingSettings(**fields), service="orders", environment="production")
    try:
        assert ACTIVE.put_access is None
    finally:
        unconfigure_logging()
