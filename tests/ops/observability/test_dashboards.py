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
