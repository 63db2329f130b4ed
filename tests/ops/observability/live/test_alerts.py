"""A dependency is killed: the right alert reaches the right receiver. It comes back: all is resolved.

Then everything that rules, dashboards and runbooks ask for is looked up in what Prometheus has seen.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]

# What the service does to itself in this test, and what is true of a template between two releases.
EXPECTED = {"ServiceTaskFails", "ServiceSpansDropped", "ServiceBehindStandard", "DatabaseQueriesSlow"}
# What a machine does that is busy with something else: it is slow, not wrong.
EXPECTED |= {
    "DatabasePoolWaitLong",
    "ServiceCpuSaturated",
    "ServiceDiskSpaceLow",
    "ServiceEventLoopLags",
    "ServiceLatencyBudgetBurnsFast",
    "ServiceMemoryLow",
}
# Made by Prometheus, not by the service.
BUILT_IN = {"up", "ALERTS"}
# Told by the scrape, not by the service.
OF_THE_SCRAPE = {"job", "namespace", "instance", "__name__"}

Wait = Callable[..., None]


@pytest.fixture(scope="module")
def warm(stack: Any, wait_until: Wait) -> Any:
    """The stack, after every metric was made to move."""
    for path in ("/prices/limited", "/prices/limited", "/prices/broken", "/nowhere"):
        stack.service.get(path)
    ratio = "service:request_errors:ratio_rate1h"
    wait_until(lambda: stack.ask("query", query=ratio)["result"], "the objectives are measured")
    return stack


def unexpected(stack: Any) -> set[str]:
    return set(stack.firing()) - EXPECTED


def test_nothing_fires_without_a_reason(warm: Any) -> None:
    assert unexpected(warm) == set()


@pytest.fixture(scope="module")
def without_upstream(warm: Any, upstream: Any, wait_until: Wait) -> Any:
    """What happened while the upstream was away, and when it had come back."""
    names = ("ServiceCircuitOpen", "ServiceDependencyUnhealthy")
    since = warm.messages()
    upstream.stop()
    for name in names:
        wait_until(lambda name=name: warm.told("tickets", name, "firing", since), f"a ticket: {name}")
    firing = warm.firing()
    upstream.start()
    for name in names:
        wait_until(lambda name=name: warm.told("tickets", name, "resolved", since), f"resolved: {name}")
    return since, firing


def test_a_killed_upstream_opens_a_ticket_and_is_resolved(warm: Any, without_upstream: Any) -> None:
    since, firing = without_upstream
    told = warm.told("tickets", "ServiceCircuitOpen", "firing", since)[0]
    assert told["labels"]["target"] == "prices"
    assert told["labels"]["team"] == "Payments"
    assert told["labels"]["environment"] == "production"
    assert told["annotations"]["summary"] == "orders has stopped calling prices"
    assert told["annotations"]["runbook_url"].endswith("/docs/runbooks/service-circuit-open.md")
    assert firing["ServiceDependencyUnhealthy"]["labels"]["check"] == "prices"


def test_a_killed_upstream_that_is_not_critical_keeps_the_service_ready(
    warm: Any, without_upstream: Any
) -> None:
    since, firing = without_upstream
    assert "ServiceNotReady" not in firing
    assert warm.told("page", "ServiceNotReady", "firing", since) == []


@pytest.fixture(scope="module")
def without_database(warm: Any, postgres: Any, wait_until: Wait, without_upstream: Any) -> int:
    """What happened while the database was away, and when it had come back."""
    since = warm.messages()
    tickets = ("ServiceDependencyUnhealthy", "DatabaseConnectionsFail", "ServiceErrorRateHigh")
    postgres.stop()
    wait_until(lambda: warm.told("page", "ServiceNotReady", "firing", since), "called: ServiceNotReady")
    for name in tickets:
        wait_until(lambda name=name: warm.told("tickets", name, "firing", since), f"a ticket: {name}")
    wait_until(lambda: warm.told("page", "ServiceErrorBudgetBurnsFast", "firing"), "called: the budget burns")
    postgres.start()
    wait_until(lambda: warm.told("page", "ServiceNotReady", "resolved", since), "resolved: ServiceNotReady")
    for name in tickets:
        wait_until(lambda name=name: warm.told("tickets", name, "resolved", since), f"resolved: {name}")
    return int(since)


def test_a_killed_database_calls_somebody_and_is_resolved(warm: Any, without_database: int) -> None:
    told = warm.told("page", "ServiceNotReady", "firing", without_database)[0]
    assert told["annotations"]["summary"] == "No instance of orders is ready"
    checks = {
        alert["labels"]["check"]
        for alert in warm.told("tickets", "ServiceDependencyUnhealthy", "firing", without_database)
    }
    assert checks == {"database"}


def test_who_is_called_because_the_budget_burns_fast_gets_no_ticket_that_it_burns_slowly(
    warm: Any, without_database: int
) -> None:
    called = warm.told("page", "ServiceErrorBudgetBurnsFast", "firing")[0]
    tickets = warm.told("tickets", "ServiceErrorBudgetBurnsSlowly", "firing")
    assert [ticket for ticket in tickets if ticket["startsAt"] < called["startsAt"]] == []


@pytest.fixture(scope="module")
def without_service(warm: Any, orders: Any, wait_until: Wait, without_database: int) -> Any:
    """Who was told of what while the service was dead: called, and given a ticket. It has come back."""
    since = warm.messages()
    orders.kill()
    wait_until(lambda: warm.told("page", "ServiceDown", "firing", since), "called: ServiceDown")
    wait_until(lambda: "ServiceInstanceDown" in warm.inhibited(), "kept back: ServiceInstanceDown")
    # Before it comes back: then both alerts end, one a moment after the other.
    told = (
        warm.told("page", "ServiceDown", "firing", since),
        warm.told("tickets", "ServiceInstanceDown", "firing", since),
    )
    orders.start()
    wait_until(lambda: warm.told("page", "ServiceDown", "resolved", since), "resolved: ServiceDown")
    return told


def test_a_killed_service_calls_somebody_once(without_service: Any) -> None:
    calls, tickets = without_service
    assert len({alert["fingerprint"] for alert in calls}) == 1
    assert tickets == []


def test_in_the_end_nothing_fires(warm: Any, without_service: Any, wait_until: Wait) -> None:
    long_remembered = {"ServiceErrorBudgetBurnsSlowly", "ServiceLatencyBudgetBurnsSlowly"}
    wait_until(lambda: not unexpected(warm) - long_remembered, "nothing fires any more")


@pytest.fixture(scope="module")
def seen(warm: Any, without_service: Any) -> Any:
    """The stack, after everything that can happen did."""
    return warm


def test_no_rule_fails_when_it_is_evaluated(seen: Any) -> None:
    groups = seen.ask("rules")["groups"]
    assert groups
    failed = [rule for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    assert [f"{rule['name']}: {rule.get('lastError')}" for rule in failed] == []


def test_every_metric_that_is_asked_for_exists_with_its_labels(seen: Any, queries: list[Any]) -> None:
    recorded = {rule["name"] for group in seen.ask("rules")["groups"] for rule in group["rules"]}
    recorded |= {"service:chassis_release:timestamp_seconds"}  # none before the first release
    missing = set()
    for query in queries:
        for metric, labels in query.selectors():
            if metric in recorded | BUILT_IN:
                continue
            series = seen.ask("series", **{"match[]": metric, "start": str(time.time() - 600)})
            known = {name for one in series for name in one}
            missing |= {f"{query.where}: {metric}"} if not series else set()
            missing |= {f"{query.where}: {metric}{{{name}}}" for name in labels - OF_THE_SCRAPE - known}
    assert missing == set()


def test_every_query_runs_and_every_panel_has_something_to_show(seen: Any, queries: list[Any]) -> None:
    now = time.time()
    empty = []
    for query in queries:
        if query.instant:
            result = seen.ask("query", query=query.expression)["result"]
        else:
            span = {"start": str(now - 300), "end": str(now), "step": "1"}
            result = seen.ask("query_range", query=query.expression, **span)["result"]
        if not result and not query.where.startswith("rule of"):
            empty.append(query.where)
    assert empty == []


def test_an_exemplar_leads_from_a_duration_to_its_trace(seen: Any) -> None:
    span = {"start": str(time.time() - 600), "end": str(time.time())}
    found = seen.ask("query_exemplars", query="service_request_duration_seconds_bucket", **span)
    assert any(exemplar["labels"].get("trace_id") for one in found for exemplar in one["exemplars"])
