"""Catching the log as it leaves the service."""

import logging

import pytest
import structlog

from chassis import context
from chassis.logging import LoggingSettings
from chassis.testing import capture_logs


def test_events_have_their_fields_and_the_fixed_ones() -> None:
    with capture_logs(service="orders", environment="staging") as logs:
        structlog.get_logger("shop").info("order placed", order=7)
    event = logs.one("order placed")
    assert event["order"] == 7
    assert event.keys() >= {"timestamp", "level", "event", "service", "environment", "logger"}
    assert (event["service"], event["environment"], event["logger"]) == ("orders", "staging", "shop")


def test_events_are_masked() -> None:
    with capture_logs() as logs:
        structlog.get_logger("shop").info("login", password="hunter2-hunter2")
    assert "hunter2-hunter2" not in logs.text


def test_the_standard_librarys_loggers_are_caught() -> None:
    with capture_logs() as logs:
        logging.getLogger("third.party").warning("careful")
    assert logs.one("careful", logger="third.party", level="warning")


def test_the_context_is_on_every_event() -> None:
    with capture_logs() as logs, context.bound(request_id="r" * 32):
        structlog.get_logger("shop").info("order placed")
    assert logs.one("order placed")["request_id"] == "r" * 32


def test_the_level_of_the_settings_holds() -> None:
    with capture_logs(LoggingSettings(level="WARNING")) as logs:
        structlog.get_logger("shop").info("quiet")
        structlog.get_logger("shop").warning("loud")
    assert [event["event"] for event in logs.events] == ["loud"]


def test_events_are_found_by_name_and_fields() -> None:
    with capture_logs() as logs:
        log = structlog.get_logger("shop")
        log.info("order placed", order=1, lines=[1, 2])
        log.info("order placed", order=2)
        log.info("order paid", order=2)
    assert len(logs.find("order placed")) == 2
    assert len(logs.find(order=2)) == 2
    assert logs.one("order placed", lines=[1, 2])["order"] == 1
    assert logs.find("order placed", colour=None) == []


@pytest.mark.parametrize("times", [0, 2])
def test_one_means_one(times: int) -> None:
    with capture_logs() as logs:
        for _ in range(times):
            structlog.get_logger("shop").info("order placed")
    with pytest.raises(LookupError, match=f"{times} events"):
        logs.one("order placed")


def test_nothing_is_caught_after_the_block() -> None:
    with capture_logs() as logs:
        pass
    with capture_logs() as later:
        structlog.get_logger("shop").info("order placed")
    assert logs.events == []
    assert later.one("order placed")
    assert later.dropped == 0
