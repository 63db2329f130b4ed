"""Every alert has a page, every page an alert, and the pages speak of what exists."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from chassis.app import Service, create_app
from chassis.bundles.database.bundle import Database
from chassis.bundles.database.settings import DatabaseSettings
from chassis.cli.command import app as command
from chassis.logging import AccessLog, log_api_call
from chassis.logging.pipeline import FIXED
from chassis.metrics import MetricsSettings
from chassis.service_settings import ServiceSettings
from chassis.settings import load, provenance
from chassis.testing import capture_logs

pytestmark = pytest.mark.ops

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "template/chassis/src/chassis"
PAGES = sorted(
    file.name.removesuffix(".jinja").removesuffix(".md")
    for file in (ROOT / "template/docs/runbooks").iterdir()
)
OTHERS = {"README", "service"}
SECTIONS = ["What it means", "How to see it", "What to do"]
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
# Made by Prometheus, and told by it beside the labels of the service.
BUILT_IN = {"up": set[str]()}
OF_THE_SCRAPE = {"job", "namespace", "instance"}
# Other programs, SQL and Python. Whatever else a page sets in code is ours, and must be there.
FOREIGN = {
    *("py-spy top --pid PID", "py-spy dump --pid PID", "ls -l /proc/PID/fd", "ulimit -n"),
    *("EXPLAIN (ANALYZE, BUFFERS)", "async def", "def"),
}

Names = dict[str, set[str]]


@pytest.fixture(scope="module")
def pages(service: Path) -> dict[str, str]:
    return {
        file.stem: file.read_text(encoding="utf-8")
        for file in sorted((service / "docs/runbooks").glob("*.md"))
    }


def test_there_is_one_page_for_each_alert(pages: dict[str, str], alerts: list[dict[str, Any]]) -> None:
    named = {Path(alert["annotations"]["runbook_url"]).stem for alert in alerts}
    assert set(pages) - OTHERS == named
    assert set(pages) == set(PAGES)


def test_every_page_has_the_same_three_sections(pages: dict[str, str]) -> None:
    for name in set(pages) - OTHERS:
        assert re.findall(r"^## (.+)$", pages[name], re.MULTILINE) == SECTIONS, name


def test_the_list_names_every_alert_with_its_severity(
    pages: dict[str, str], alerts: list[dict[str, Any]]
) -> None:
    listed = set(re.findall(r"^\| \[(\w+)\]\(([a-z-]+)\.md\) \| (\w+) \|$", pages["README"], re.MULTILINE))
    expected = {
        (alert["alert"], Path(alert["annotations"]["runbook_url"]).stem, alert["labels"]["severity"])
        for alert in alerts
    }
    assert listed == expected


def test_pages_of_a_bundle_come_with_the_bundle(render: Callable[..., Path]) -> None:
    folder = render(bundles=[]) / "docs/runbooks"
    assert not list(folder.glob("database-*"))
    assert "Database" not in (folder / "README.md").read_text(encoding="utf-8")


# What a page names


@pytest.mark.parametrize("page", PAGES)
def test_everything_that_a_page_names_exists(
    *, page: str, pages: dict[str, str], queries: list[Any], names: Names, metrics: Names, tmp_path: Path
) -> None:
    prose = " ".join(re.sub(r"<!--.*?-->|```.*?```", "", pages[page], flags=re.DOTALL).split())
    spans = set(re.findall(r"`([^`]+)`", prose))
    words = re.sub(r"`[^`]+`", "", prose)
    chosen = dict(span.split("=") for span in spans if re.fullmatch(r"[A-Z_]+=[^\"]\S*", span))
    load(ServiceSettings, environ=chosen, directory=tmp_path)
    known = set[str]().union(*names.values()) | metrics.keys() | FOREIGN
    assert {span.partition("=")[0] if span.partition("=")[0] in chosen else span for span in spans} <= known
    assert set(re.findall(r"(?:[Ee]vent|log says) `([^`]+)`", prose)) <= names["events"]
    assert set(re.findall(r'"(Chassis: [a-z]+)"', prose)) <= names["dashboards"]
    assert set(re.findall(r"\b(?:Service|Database)(?:[A-Z][a-z]+)+\b", words)) <= names["alerts"]
    assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", words)) <= names["settings"]
    asked = [query for query in queries if query.where == f"runbook {page}"]
    assert bool(asked) is (page not in OTHERS)
    for query in asked:
        grouped = " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", query.expression))
        for metric, compared in query.selectors():
            labels = compared | set(re.findall(r"\w+", grouped))
            assert labels - OF_THE_SCRAPE <= metrics[metric], query.expression


@pytest.fixture(scope="module")
def built() -> Service:
    """What the rendered composition root builds, with a client of another service, as an owner adds it."""
    app = create_app(ServiceSettings(), bundles=[Database(DatabaseSettings())])
    app.environment.http("prices")
    return app


@pytest.fixture(scope="module")
def metrics(built: Service) -> Names:
    """The labels of each metric that the service exports, after each was made to move."""
    measured = built.environment.metrics
    measured.requests.started()
    measured.requests.finished("GET", "/items", 500, 0.1)
    measured.rate_limited("/items")
    measured.task_failed("refresh")
    measured.spans_dropped("queue_full", 1)
    measured.health_status("database", 0)
    found: Names = {name: set(labels) for name, labels in BUILT_IN.items()}
    for family in measured.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for collector, own in measured.registry._collector_to_names.items():
        for name in own:
            found.setdefault(name, set()).update(getattr(collector, "_labelnames", ()))
    return found


@pytest.fixture(scope="module")
def names(
    *,
    service: Path,
    built: Service,
    metrics: Names,
    alerts: list[dict[str, Any]],
    dashboards: dict[str, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Names:
    """Everything that a page may name, by its kind."""

    class Known(ServiceSettings):
        database: DatabaseSettings = DatabaseSettings()

    settings = load(Known, environ={}, directory=tmp_path_factory.mktemp("settings"))
    samples = [sample for family in built.environment.metrics.registry.collect() for sample in family.samples]
    labels = {(name, str(value)) for alert in alerts for name, value in alert["labels"].items()}
    makefile = (service / "Makefile").read_text(encoding="utf-8")
    files = {file.relative_to(service).as_posix() for file in service.rglob("*") if file.is_file()}
    return {
        "alerts": {alert["alert"] for alert in alerts},
        "checks": set(built.environment.health._probes),
        "commands": {f"chassis {name}" for name in get_command(command).list_commands(None)},
        "dashboards": {dashboard["title"] for dashboard in dashboards.values()},
        "events": {*(event for event, _ in _logged()), "request", "api_call"},
        "fields": _fields().union(*(fields for _, fields in _logged())),
        "files": files | {Path(file).name for file in files if file.startswith("docs/runbooks/")},
        "labels": set[str]().union(*metrics.values()),
        "levels": set(LEVELS),
        "routes": {getattr(route, "path", "") for route in built.routes},
        "settings": {origin.variable for origin in provenance(settings)},
        "targets": {f"make {name}" for name in re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)},
        "values": {value for _, value in labels}
        | {f'{name}="{value}"' for name, value in labels}
        | {sample.labels.get("le", "") for sample in samples}
        | set(re.findall(r'"(\w+)"', (LIBRARY / "tracing/span_queue.py").read_text(encoding="utf-8"))),
    }


def _logged() -> Iterator[tuple[str, set[str]]]:
    """The events that the chassis writes, each with the fields of one call of a logger."""
    for file in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called in {*LEVELS, "level", "log"}:
                    yield str(node.args[0].value), {each.arg for each in node.keywords if each.arg}


def _fields() -> set[str]:
    """The fields that every line, an access line and the line of a call to another service have."""
    with capture_logs() as logs:
        AccessLog().record({"request_id": "r"}, "GET", "/", "/", 200, 0.1, "c", "agent", False)
        log_api_call("prices", method="GET", url="/", duration_seconds=0.1, error=OSError())
    return {*FIXED, *(name for event in logs.events for name in event)}


# What a page says of its alert and of the dashboards

LIMITS = [
    (
        "ServiceErrorBudgetBurnsFast",
        "14.4 times too fast over an hour",
        r"errors:ratio_rate1h\S+ [^>]*> 14\.4 ",
    ),
    ("ServiceErrorBudgetBurnsFast", "or 6 times over six hours", r"errors:ratio_rate6h\S+ [^>]*> 6 "),
    ("ServiceErrorBudgetBurnsSlowly", "Over three days", r"errors:ratio_rate3d\S+ [^>]*> 1 "),
    ("ServiceErrorBudgetBurnsSlowly", "and they still do", r"errors:ratio_rate6h\S+ [^>]*> 1 "),
    ("ServiceLatencyBudgetBurnsFast", "its budget of 30 days would be gone in days", r"> 14\.4 .*> 6 "),
    ("ServiceLatencyBudgetBurnsSlowly", "Over three days", r"slow:ratio_rate3d\S+ [^>]*> 1 "),
    ("ServiceLatencyBudgetBurnsSlowly", "and they still are", r"slow:ratio_rate6h\S+ [^>]*> 1 "),
    ("ServiceInstanceDown", "has not answered Prometheus for five minutes", r"== 0 for 5m$"),
    ("ServiceRestarts", "more than twice in half an hour", r"^changes\(.*\[30m\]\) > 2 "),
    ("ServiceErrorRateHigh", "more than 5 % of its requests", r"> 0\.05 "),
    ("ServiceRateLimitsClients", "more than 5 % of the requests", r"> 0\.05 "),
    ("ServiceDependencyDegraded", "for 15 minutes", r" for 15m$"),
    ("ServiceUpstreamFails", "More than one of five attempts", r"> 0\.2 "),
    ("ServiceRequestsPileUp", "On average more than 100 requests", r"^avg_over_time\(.*\) > 100 "),
    ("ServiceCpuSaturated", "nearly all of the CPU", r"> 0\.9 "),
    ("ServiceCpuSaturated", "the samples of the event loop", r"/ .*service_event_loop_lag_seconds_count"),
    ("ServiceDiskSpaceLow", "less than a tenth free", r"^\S+ / \S+ < 0\.1 "),
    ("ServiceDiskSpaceLow", "less than a quarter that will be used up", r"< 0 and \S+ / \S+ < 0\.25 "),
    ("ServiceDiskSpaceLow", "within four hours", r", 4 \* 3600\)"),
    ("ServiceFileDescriptorsLow", "More than four of five", r"> 0\.8 "),
    ("ServiceBehindStandard", "older than 30 days", r"> 30 \* 24 \* 3600 "),
    ("DatabasePoolOverflows", "for ten minutes", r"^min_over_time\(.*\[10m\]\) > 0 "),
    ("DatabasePoolWaitLong", "One of 20 callers waits longer than 0.1 seconds", r"\( 0\.95, .*> 0\.1 "),
    (
        "DatabaseQueriesSlow",
        "More than one of 20 statements of an operation",
        r"by \(.*operation\).*> 0\.05 ",
    ),
]


@pytest.mark.parametrize(("alert", "said", "rule"), LIMITS)
def test_a_page_states_the_limits_of_its_rule(
    alert: str, said: str, rule: str, pages: dict[str, str], alerts: list[dict[str, Any]]
) -> None:
    [page] = [text for text in pages.values() if f"\n# {alert}\n" in text]
    assert said in " ".join(page.split())
    rules = [
        " ".join([*re.sub(r"#.*", "", each["expr"]).split(), "for", each.get("for", "0s")])
        for each in alerts
        if each["alert"] == alert
    ]
    assert any(re.search(rule, each) for each in rules), rules


def test_each_worker_gives_one_sample_of_its_event_loop_a_second() -> None:
    assert MetricsSettings().loop_interval == 1


PANELS = [
    ("README", "on the dashboards", "service", {"Firing now"}),
    ("database-pool-exhausted", "In use, size and wait", "database", {"Pool", "Wait for a connection"}),
    ("service-behind-standard", "version, digest and time behind of every service", "fleet", {"Services"}),
    ("service-circuit-open", "circuits over time", "dependencies", {"Circuits over time"}),
    ("service-circuit-open", "what failed before", "dependencies", {"Failed attempts"}),
    (
        "service-upstream-fails",
        "the result of each attempt",
        "dependencies",
        {"Attempts by target and result"},
    ),
    ("service-memory-low", "memory over time", "runtime", {"Memory"}),
    ("service-event-loop-lags", "The event loop lag by instance", "service", {"Event loop lag"}),
    (
        "service-latency-budget-burns-fast",
        "The 95th percentile by route",
        "service",
        {"95 % answered within, by route"},
    ),
    (
        "service-requests-pile-up",
        "Duration and requests in progress",
        "service",
        {"Duration of all requests", "Requests in progress"},
    ),
    *(
        (page, "which routes and statuses", "service", {"Requests by status", "Failed, by route"})
        for page in (
            "service-cpu-saturated",
            "service-error-budget-burns-fast",
            "service-error-rate-high",
            "service-event-loop-lags",
            "service-latency-budget-burns-fast",
            "service-requests-pile-up",
        )
    ),
    *(
        (
            page,
            "the burn rate and what is left of the budget",
            "slo",
            {f"{kind} burn rate", f"{kind} budget left"},
        )
        for kind, page in (
            ("Availability", "service-error-budget-burns-fast"),
            ("Availability", "service-error-budget-burns-slowly"),
            ("Latency", "service-latency-budget-burns-fast"),
            ("Latency", "service-latency-budget-burns-slowly"),
        )
    ),
    *(
        (page, "saturation row", "service", {"Saturation"})
        for page in (
            "service-error-budget-burns-fast",
            "service-latency-budget-burns-fast",
            "service-rate-limits-clients",
        )
    ),
]


@pytest.mark.parametrize(("page", "said", "dashboard", "panels"), PANELS)
def test_a_dashboard_shows_what_a_page_says(
    *,
    page: str,
    said: str,
    dashboard: str,
    panels: set[str],
    pages: dict[str, str],
    dashboards: dict[str, dict[str, Any]],
) -> None:
    text = " ".join(pages[page].split())
    assert said in text
    assert panels <= {panel["title"] for panel in dashboards[dashboard]["panels"]}
    assert f'"{dashboards[dashboard]["title"]}"' in text or said in {"on the dashboards", "saturation row"}


def test_every_page_that_says_what_a_dashboard_shows_is_checked(pages: dict[str, str]) -> None:
    checked = {page for page, *_ in PANELS}
    says = {page for page, text in pages.items() if re.search(r'"Chassis: [a-z]+"[:.] +[a-zA-Z]', text)}
    assert says <= checked


def test_the_table_of_the_fleet_has_what_the_page_says(dashboards: dict[str, dict[str, Any]]) -> None:
    [table] = [panel for panel in dashboards["fleet"]["panels"] if panel["title"] == "Services"]
    [renamed] = [
        change["options"]["renameByName"] for change in table["transformations"] if change["id"] == "organize"
    ]
    assert {"Service", "Version", "Digest", "Behind the newest"} <= set(renamed.values())


def test_firing_alerts_of_any_severity_are_on_the_dashboard(dashboards: dict[str, dict[str, Any]]) -> None:
    [table] = [panel for panel in dashboards["service"]["panels"] if panel["title"] == "Firing now"]
    [target] = table["targets"]
    assert target["expr"] == 'ALERTS{job="$job", alertstate="firing"}'
