"""The dashboards are what Grafana reads: they fit its schema, and their variables and legends exist."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

pytestmark = pytest.mark.ops

SCHEMA = json.loads((Path(__file__).parent / "dashboard.schema.json").read_text(encoding="utf-8"))
BUILT_IN = {"__rate_interval", "__range", "__data"}

Dashboards = dict[str, dict[str, Any]]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels, without the rows that head them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_dashboards_that_a_service_needs_are_there(dashboards: Dashboards) -> None:
    assert set(dashboards) == {"service", "dependencies", "database", "runtime", "slo", "fleet"}


def test_the_dashboard_of_a_bundle_comes_with_the_bundle(render: Callable[..., Path]) -> None:
    assert not (render(bundles=[]) / "deploy/grafana/dashboards/chassis/database.json").exists()


# What each shows, by what its queries ask for.
SHOWN = {
    "service": (
        "Chassis: service",
        [
            "service_requests_total",
            'status=~"5.."',
            "service_request_duration_seconds_bucket",
            "service_requests_in_progress",
            "process_cpu_seconds_total",
            "service_disk_free_bytes",
            'alertstate="firing"',
        ],
    ),
    "dependencies": (
        "Chassis: dependencies",
        [
            "service_health_status",
            "service_circuit_breaker_state",
            "service_http_client_requests_total",
            "by (component, type) (rate(service_errors_total",
        ],
    ),
    "database": (
        "Chassis: database",
        [
            "service_db_pool_active",
            "service_db_pool_wait_seconds_bucket",
            "service_db_query_duration_seconds_bucket",
        ],
    ),
    "runtime": (
        "Chassis: runtime",
        [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "service_event_loop_lag_seconds_bucket",
            "python_gc_collections_total",
            "chassis_version, chassis_digest",
        ],
    ),
    "slo": (
        "Chassis: objectives",
        [
            "service:availability_objective:ratio",
            "service:latency_objective:ratio",
            "service:availability_budget:ratio",
            "service:latency_budget:ratio",
            "service:request_errors:ratio_rate1h",
            "service:request_slow:ratio_rate1h",
            "[30d]",
        ],
    ),
    "fleet": (
        "Chassis: fleet",
        [
            "by (job, namespace, version, chassis_version, chassis_digest",
            "service_chassis_released_timestamp_seconds",
            "service_health_status",
            "unless on (chassis_version, chassis_digest)",
        ],
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_dashboard_shows_what_the_documentation_says(name: str, dashboards: Dashboards) -> None:
    title, asked = SHOWN[name]
    assert dashboards[name]["title"] == title
    queries = "\n".join(target["expr"] for panel in panels(dashboards[name]) for target in panel["targets"])
    assert [text for text in asked if text not in queries] == []


def test_one_grafana_needs_the_dashboards_once(render: Callable[..., Path], dashboards: Dashboards) -> None:
    other = (
        render(service_name="Billing", team="Money", bundles=["database"])
        / "deploy/grafana/dashboards/chassis"
    )
    assert {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in other.iterdir()} == dashboards
    for name, dashboard in dashboards.items():
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert ("job" in variables) is (name != "fleet"), name
        if name == "fleet":
            assert "$job" not in json.dumps(dashboard), "every service"


def test_the_fleet_shows_what_the_alert_tells_of_one_service(dashboards: Dashboards) -> None:
    shown = {panel["title"] for panel in panels(dashboards["fleet"])}
    assert {"Behind the newest", "Changed chassis"} <= shown


def test_a_slow_bucket_leads_to_its_trace(dashboards: Dashboards, service: Path) -> None:
    targets = [
        target
        for panel in panels(dashboards["service"])
        for target in panel["targets"]
        if "service_request_duration_seconds_bucket" in target["expr"] and panel["type"] == "timeseries"
    ]
    assert any(target.get("exemplar") for target in targets)
    file = service / "deploy/grafana/provisioning/datasources/chassis.yml"
    sources = {
        source["uid"]: source for source in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]
    }
    (leads,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert leads["name"] == "trace_id"
    assert sources[leads["datasourceUid"]]["type"] == "jaeger"


def test_every_dashboard_fits_the_schema(dashboards: Dashboards) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name, dashboard in dashboards.items():
        problems = jsonschema.Draft202012Validator(SCHEMA).iter_errors(dashboard)
        assert [f"{name} {problem.json_path}: {problem.message}" for problem in problems] == []


def test_every_dashboard_is_written_in_one_form(service: Path) -> None:
    for file in (service / "deploy/grafana/dashboards/chassis").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", file.name


def test_every_dashboard_says_whose_it_is(dashboards: Dashboards) -> None:
    for dashboard in dashboards.values():
        assert dashboard["description"].startswith("Owned by the template: ")


def test_ids_and_titles_are_unique(dashboards: Dashboards) -> None:
    uids = [dashboard["uid"] for dashboard in dashboards.values()]
    assert len(set(uids)) == len(uids)
    for dashboard in dashboards.values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        titles = [panel["title"] for panel in panels(dashboard)]
        assert len(set(titles)) == len(titles)


def test_no_panel_covers_another(dashboards: Dashboards) -> None:
    for name, dashboard in dashboards.items():
        for one, two in itertools.combinations(dashboard["panels"], 2):
            a, b = one["gridPos"], two["gridPos"]
            apart = (
                a["x"] + a["w"] <= b["x"]
                or b["x"] + b["w"] <= a["x"]
                or a["y"] + a["h"] <= b["y"]
                or b["y"] + b["h"] <= a["y"]
            )
            assert apart, f"{name}: {one['title']} and {two['title']}"
            assert a["x"] + a["w"] <= 24


def test_every_variable_that_is_used_is_defined(dashboards: Dashboards) -> None:
    for name, dashboard in dashboards.items():
        defined = {variable["name"] for variable in dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?([A-Za-z_]+)", json.dumps(dashboard)))
        assert used - BUILT_IN <= defined, name
        assert defined <= used, name


def test_every_legend_names_a_label_that_the_query_keeps(dashboards: Dashboards) -> None:
    for name, dashboard in dashboards.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                legend = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
                kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
                if legend and kept:
                    assert legend <= set(re.findall(r"\w+", kept[1])), f"{name}: {panel['title']}"


def test_provisioned_sources_and_folders_are_those_of_the_dashboards(service: Path) -> None:
    grafana = service / "deploy/grafana"
    sources = yaml.safe_load((grafana / "provisioning/datasources/chassis.yml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    by_uid = {source["uid"]: source for source in sources}
    assert {source["type"] for source in sources} == {"prometheus", "jaeger", "loki"}
    referred = set(re.findall(r"datasourceUid': '([^']+)'", str(sources)))
    assert referred <= set(by_uid)
    providers = yaml.safe_load((grafana / "provisioning/dashboards/chassis.yml").read_text(encoding="utf-8"))[
        "providers"
    ]
    for provider in providers:
        folder = Path(provider["options"]["path"]).relative_to("/etc/grafana")
        assert (grafana / folder).is_dir()
