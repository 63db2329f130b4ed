"""The rules are valid, and each alert has a unit in which it fires and one in which it does not."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.metrics import MetricsSettings

pytestmark = pytest.mark.ops

UNITS = Path(__file__).parent / "alerts"
UNIT_FILES = sorted(path.stem for path in UNITS.glob("*.yaml"))
SEVERITIES = {"critical", "warning", "info"}
HARD_TEAM = """'Payments' {{ x }} "q" \\ $HOME #1: 100 % 🚀"""

Alerts = list[dict[str, Any]]
Program = Callable[[str], str]
Render = Callable[..., Path]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"bundles": ["database"]},
        {"team": HARD_TEAM, "bundles": ["database"], "deployment": "compose"},
        {"service_slug": "no"},
    ],
    ids=["default", "database", "hard-team", "no"],
)
def test_promtool_accepts_the_configuration_and_every_rule(
    answers: dict[str, Any], render: Render, program: Program
) -> None:
    prometheus = render(**answers) / "deploy/prometheus"
    run(program("promtool"), "check", "config", prometheus / "prometheus.yml")
    run(program("promtool"), "check", "rules", *sorted(prometheus.glob("rules/*.yml")))


def test_every_alert_carries_the_team_as_it_was_answered(render: Render, program: Program) -> None:
    service = render(team=HARD_TEAM)
    content = yaml.safe_load((service / "deploy/prometheus/rules/chassis.yml").read_text(encoding="utf-8"))
    teams = {
        rule["labels"]["team"] for group in content["groups"] for rule in group["rules"] if "alert" in rule
    }
    # Prometheus expands {{ }} in labels, so braces are written as what expands to them.
    assert {team.replace('{{ "{{" }}', "{{") for team in teams} == {HARD_TEAM}


def test_rules_of_a_bundle_come_with_the_bundle(render: Render) -> None:
    rules = render(bundles=[]) / "deploy/prometheus/rules"
    assert {file.name for file in rules.iterdir()} == {"chassis.yml", "releases.yml", "service.yml"}


@pytest.fixture(scope="module")
def bare_rules(service: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules without their texts, which units would have to repeat word for word."""
    folder = tmp_path_factory.mktemp("units")
    for file in ("chassis.yml", "database.yml"):
        content = yaml.safe_load((service / "deploy/prometheus/rules" / file).read_text(encoding="utf-8"))
        for group in content["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)
        (folder / file).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", UNIT_FILES)
def test_alerts_fire_when_they_should_and_only_then(name: str, bare_rules: Path, program: Program) -> None:
    units = yaml.safe_load((UNITS / f"{name}.yaml").read_text(encoding="utf-8"))
    units["rule_files"] = ["chassis.yml", "database.yml"]
    file = bare_rules / f"{name}.test.yml"
    file.write_text(yaml.safe_dump(units), encoding="utf-8")
    run(program("promtool"), "test", "rules", file)


def test_every_alert_has_a_unit_that_fires_and_one_that_does_not(alerts: Alerts) -> None:
    units = [
        check
        for name in UNIT_FILES
        for unit in yaml.safe_load((UNITS / f"{name}.yaml").read_text(encoding="utf-8"))["tests"]
        for check in unit.get("alert_rule_test", [])
    ]
    for alert in alerts:
        name = alert["alert"]
        expected = [check.get("exp_alerts", []) for check in units if check["alertname"] == name]
        assert [] in expected, name
        # two alerts of one name differ by a label of theirs
        assert any(
            alert["labels"].items() <= one["exp_labels"].items() for those in expected for one in those
        ), name


def test_every_alert_says_who_what_and_what_to_do(alerts: Alerts, service: Path) -> None:
    for alert in alerts:
        name = alert["alert"]
        assert re.fullmatch(r"(Service|Database)([A-Z][a-z]+)+", name)
        assert alert["labels"]["severity"] in SEVERITIES, name
        assert alert["labels"]["team"] == "Payments", name
        texts = alert["annotations"]
        assert set(texts) == {"summary", "description", "runbook_url"}, name
        assert "{{ $labels.job }}" in texts["summary"], name
        page = re.fullmatch(r"https://\S+/docs/runbooks/([a-z-]+\.md)", texts["runbook_url"])
        assert page, name
        text = (service / "docs/runbooks" / page[1]).read_text(encoding="utf-8")
        assert f"\n# {name}\n" in text


def test_every_selector_names_the_service_unless_it_is_about_the_fleet(queries: list[Any]) -> None:
    # Rules of several services live in one Prometheus: what is not narrowed is said twice, or about others.
    about_the_fleet = {
        "rule of chassis: service:chassis_fleet_release:timestamp_seconds",
        "rule of chassis: service:chassis_next_release:timestamp_seconds",
        "rule of chassis: ServiceBehindStandard",
    }
    for query in queries:
        if (
            query.where.startswith(("rule of chassis", "rule of database"))
            and query.where not in about_the_fleet
        ):
            for metric, labels in query.selectors():
                # a budget is joined on the job
                assert "job" in labels or metric.endswith("_budget:ratio"), f"{query.where}: {metric}"


def test_every_rule_is_of_one_job(rules: dict[str, list[dict[str, Any]]], service: Path) -> None:
    for rule in [*rules["chassis"], *rules["database"]]:
        named = 'job="orders"' in rule["expr"] or rule.get("labels", {}).get("job") == "orders"
        assert named, rule.get("alert") or rule["record"]
    for name in ("releases", "service"):
        assert {rule["labels"]["job"] for rule in rules[name]} == {"orders"}, name


def test_what_is_added_up_keeps_the_namespace(rules: dict[str, list[dict[str, Any]]]) -> None:
    kept = [
        set(re.split(r",\s*", labels))
        for rule in [*rules["chassis"], *rules["database"]]
        for labels in re.findall(r"\bby \(([^)]*)\)", str(rule["expr"]))
    ]
    assert len(kept) > 20
    # what is known of a release is the same everywhere
    assert [labels for labels in kept if not {"job", "namespace"} <= labels] == [{"chassis_version"}]


def test_critical_is_what_users_feel_and_nothing_else(alerts: Alerts) -> None:
    assert {alert["alert"] for alert in alerts if alert["labels"]["severity"] == "critical"} == {
        "ServiceDown",
        "ServiceErrorBudgetBurnsFast",
        "ServiceLatencyBudgetBurnsFast",
        "ServiceNotReady",
    }


def test_budgets_burn_at_the_rates_of_the_workbook(alerts: Alerts) -> None:
    # https://sre.google/workbook/alerting-on-slos, table 5-8
    burning = re.compile(
        r"ratio_rate(\w+)\{[^}]*\} / on \(job\) group_left \(\) service:\w+_budget:ratio > ([\d.]+)"
    )
    expected = {
        "Fast": [("1h", "14.4"), ("5m", "14.4"), ("6h", "6"), ("30m", "6")],
        "Slowly": [("3d", "1"), ("6h", "1")],
    }
    for objective in ("Error", "Latency"):
        for speed, rates in expected.items():
            (alert,) = (one for one in alerts if one["alert"] == f"Service{objective}BudgetBurns{speed}")
            assert burning.findall(alert["expr"]) == rates
            assert re.search(r"\[1h\]\) \* 3600 > 5$", alert["expr"]), "more than five in an hour"


def test_what_is_no_traffic_of_users_does_not_count(rules: dict[str, list[dict[str, Any]]]) -> None:
    left_out = {
        pattern
        for rule in rules["chassis"]
        if rule.get("record", "").endswith(":rate5m")
        for pattern in re.findall(r'route!~"([^"]+)"', rule["expr"])
    }
    (pattern,) = left_out
    ours = [
        "/health",
        "/health/live",
        "/metrics",
        "/docs",
        "/docs/assets/{name}",
        "/openapi.json",
        "unmatched",
    ]
    assert [route for route in ours if not re.fullmatch(pattern, route)] == []
    assert not re.fullmatch(pattern, "/items")
    assert not re.fullmatch(pattern, "/healthy-food")


def test_the_default_limit_of_the_latency_is_a_bucket_of_the_metrics() -> None:
    assert 0.5 in MetricsSettings().buckets
    assert 0.25 in MetricsSettings().buckets, "the example of the documentation"


def test_rules_and_targets_of_the_owner_are_read(service: Path) -> None:
    folder = service / "deploy/prometheus"
    config = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["rule_files"] == ["rules/*.yml"]
    scraped = {job["job_name"]: job for job in config["scrape_configs"]}
    assert scraped["others"]["file_sd_configs"] == [{"files": ["targets/*.yml"]}]
    assert (folder / "targets/service.yml").is_file()
    assert scraped["orders"]["dns_sd_configs"][0]["names"] == ["service"], "the slug is the job"


def test_no_placeholder_is_left(service: Path) -> None:
    for file in (service / "deploy/prometheus/rules").iterdir():
        assert "THIS_" not in file.read_text(encoding="utf-8"), file.name


def test_the_owners_objectives_win(service: Path, tmp_path: Path, program: Program) -> None:
    own = (service / "deploy/prometheus/rules/service.yml").read_text(encoding="utf-8")
    own = own.replace("vector(0.999)", "vector(0.95)").replace("vector(0.99)", "vector(0.8)")
    (tmp_path / "service.yml").write_text(own.replace('le: "0.5"', 'le: "2.5"'), encoding="utf-8")
    chassis = service / "deploy/prometheus/rules/chassis.yml"
    (tmp_path / "chassis.yml").write_text(chassis.read_text(encoding="utf-8"), encoding="utf-8")
    expected = {
        "service:availability_objective:ratio": ('{job="orders"}', 0.95),
        "service:latency_objective:ratio": ('{job="orders", le="2.5"}', 0.8),
    }
    checks = [
        {
            "expr": name,
            "eval_time": "5m",
            "exp_samples": [{"labels": name + labels, "value": value}],
        }
        for name, (labels, value) in expected.items()
    ]
    unit = {"rule_files": ["service.yml", "chassis.yml"], "tests": [{"promql_expr_test": checks}]}
    (tmp_path / "unit.yml").write_text(yaml.safe_dump(unit), encoding="utf-8")
    run(program("promtool"), "test", "rules", tmp_path / "unit.yml")


def test_every_release_and_its_digest_is_in_the_rules(
    template: Path, render: Render, program: Program
) -> None:
    releases = [
        {"version": "1.9.0", "released_at": "2026-01-02T03:04:05Z", "digest": "a" * 64},
        {"version": "1.10.0", "released_at": "2026-02-02T03:04:05Z", "digest": "1" * 64},
        {"version": "1.9.1", "released_at": "2026-02-03T03:04:05Z", "digest": "c" * 64},
    ]
    record = template / "template/chassis/releases.json"
    before = record.read_bytes() if record.exists() else None
    try:
        record.write_text(json.dumps({"releases": releases, "files": {}}), encoding="utf-8")
        service = render()
    finally:
        if before is None:
            record.unlink()
        else:
            record.write_bytes(before)
    file = service / "deploy/prometheus/rules/releases.yml"
    run(program("promtool"), "check", "rules", file)
    [group] = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    labels = [
        (rule["labels"]["chassis_version"], rule["labels"]["chassis_digest"], rule["labels"]["line"])
        for rule in group["rules"]
    ]
    assert labels == [
        ("1.9.0", "a" * 64, "newest"),
        ("1.10.0", "1" * 64, "newest"),
        ("1.9.1", "c" * 64, "maintenance"),
    ]
    assert [rule["expr"] for rule in group["rules"]] == [
        "vector(1767323045)",
        "vector(1770001445)",
        "vector(1770087845)",
    ]
