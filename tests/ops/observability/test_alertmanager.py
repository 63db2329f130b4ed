"""Who is told of which alert, as amtool and Alertmanager's own rules say."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.ops

Program = Callable[[str], str]

ROUTES = [
    ("page", {"team": "Payments", "severity": "critical", "environment": "production"}),
    ("page", {"team": "Payments", "severity": "critical"}),
    ("tickets", {"team": "Payments", "severity": "critical", "environment": "staging"}),
    ("tickets", {"team": "Payments", "severity": "critical", "environment": "development"}),
    ("tickets", {"team": "Payments", "severity": "warning", "environment": "production"}),
    ("tickets", {"team": "Payments", "severity": "warning", "environment": "staging"}),
    ("nobody", {"team": "Payments", "severity": "info", "environment": "production"}),
    ("nobody", {"team": "Payments", "severity": "info", "environment": "staging"}),
    ("tickets", {"team": "Payments"}),
    ("unrouted", {"team": "Somebody else", "severity": "critical"}),
    ("unrouted", {"severity": "critical"}),
]


@pytest.mark.parametrize(
    "team", ["Payments", """'Payments' {{ x }} "q" \\ $HOME #1: 100 % 🚀"""], ids=["plain", "hard"]
)
def test_amtool_accepts_the_configuration_and_its_texts(
    team: str, render: Callable[..., Path], program: Program
) -> None:
    folder = render(team=team) / "deploy/alertmanager"
    done = subprocess.run(
        [program("amtool"), "check-config", folder / "alertmanager.yml"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1 templates" in done.stdout


@pytest.mark.parametrize(("receiver", "labels"), ROUTES)
def test_the_team_is_told_by_severity(
    receiver: str, labels: dict[str, str], service: Path, program: Program
) -> None:
    command = [program("amtool"), "config", "routes", "test", f"--verify.receivers={receiver}"]
    command.append(f"--config.file={service / 'deploy/alertmanager/alertmanager.yml'}")
    done = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in labels.items())],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_route_is_taken_by_a_test(service: Path) -> None:
    def routes(route: dict[str, Any], labels: dict[str, str]) -> list[dict[str, Any]]:
        """The routes that labels take, from the outermost to the last."""
        for inner in route.get("routes", []):
            if all(taken(matcher, labels) for matcher in inner["matchers"]):
                return [route, *routes(inner, labels)]
        return [route]

    def every(route: dict[str, Any]) -> list[dict[str, Any]]:
        return [route, *(one for inner in route.get("routes", []) for one in every(inner))]

    file = service / "deploy/alertmanager/alertmanager.yml"
    outermost = yaml.safe_load(file.read_text(encoding="utf-8"))["route"]
    last = [routes(outermost, labels)[-1] for _, labels in ROUTES]
    assert [one["receiver"] for one in last] == [receiver for receiver, _ in ROUTES]
    assert [one for one in every(outermost) if one not in last] == []


def taken(matcher: str, labels: dict[str, str]) -> bool:
    """Whether labels fulfil a matcher of equality or of an expression."""
    name, operator, value = re.split("(=~?)", matcher, maxsplit=1)
    expected = re.escape(value.strip('"')) if operator == "=" else value.strip('"')
    return re.fullmatch(expected, labels.get(name, "")) is not None


def test_a_team_with_any_name_gets_its_alerts(render: Callable[..., Path], program: Program) -> None:
    team = """'Payments' "q" \\ #1"""
    file = render(team=team) / "deploy/alertmanager/alertmanager.yml"
    [route] = yaml.safe_load(file.read_text(encoding="utf-8"))["route"]["routes"]
    [matcher] = route["matchers"]
    name, _, value = matcher.partition("=")
    assert name == "team"
    assert yaml.safe_load(value) == team


def test_every_label_of_an_inhibition_exists(service: Path, alerts: list[dict[str, Any]]) -> None:
    file = service / "deploy/alertmanager/alertmanager.yml"
    for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            name, _, value = matcher.replace("!=", "=").partition("=")
            values = {
                alert["alert"] if name == "alertname" else alert["labels"].get(name) for alert in alerts
            }
            assert value == '""' or value.strip('"') in values, matcher


def matches(matcher: str, labels: dict[str, str]) -> bool:
    """Whether labels fulfil a matcher of equality; a label that is not there is empty."""
    name, operator, value = re.split("(!?=)", matcher, maxsplit=1)
    return (labels.get(name, "") == value.strip('"')) is (operator == "=")


def silenced(rules: list[dict[str, Any]], source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether one alert silences another: https://prometheus.io/docs/alerting/latest/configuration/#inhibit_rule."""
    return any(
        all(matches(matcher, source) for matcher in rule["source_matchers"])
        and all(matches(matcher, target) for matcher in rule["target_matchers"])
        and all(source.get(name, "") == target.get(name, "") for name in rule["equal"])
        for rule in rules
    )


BURNS = {"alertname": "ServiceErrorBudgetBurnsFast", "severity": "critical", "objective": "availability"}
CIRCUIT = {"alertname": "ServiceCircuitOpen", "target": "billing"}


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ({"alertname": "ServiceDown"}, {"alertname": "ServiceInstanceDown"}, True),
        ({"alertname": "ServiceDown"}, {"alertname": "ServiceRestarts"}, True),
        ({"alertname": "ServiceDown"}, {"alertname": "ServiceRestarts", "job": "billing"}, False),
        ({"alertname": "ServiceDown"}, {"alertname": "ServiceRestarts", "namespace": "staging"}, False),
        ({"alertname": "ServiceInstanceDown"}, {"alertname": "ServiceRestarts"}, False),
        (BURNS, {"severity": "warning", "objective": "availability"}, True),
        (BURNS, {"severity": "warning", "objective": "latency"}, False),
        (CIRCUIT, {"alertname": "ServiceUpstreamFails", "target": "billing"}, True),
        (CIRCUIT, {"alertname": "ServiceUpstreamFails", "target": "search"}, False),
    ],
)
def test_some_alerts_silence_others(
    service: Path, source: dict[str, str], target: dict[str, str], expected: bool
) -> None:
    file = service / "deploy/alertmanager/alertmanager.yml"
    rules = yaml.safe_load(file.read_text(encoding="utf-8"))["inhibit_rules"]
    common = {"job": "orders", "team": "Payments", "environment": "production"}
    assert silenced(rules, common | source, common | target) is expected


def test_texts_of_the_owner_stand_beside_those_of_the_template(service: Path) -> None:
    file = service / "deploy/alertmanager/alertmanager.yml"
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["templates"] == ["templates/*.tmpl"]


def test_every_message_names_the_page_that_says_what_to_do(service: Path) -> None:
    folder = service / "deploy/alertmanager"
    assert ".Annotations.runbook_url" in (folder / "templates/chassis.tmpl").read_text(encoding="utf-8")
    receivers = yaml.safe_load((folder / "alertmanager.yml").read_text(encoding="utf-8"))["receivers"]
    for receiver in receivers:
        for email in receiver.get("email_configs", []):
            assert email["to"] == "payments@example.com"
            assert 'template "chassis.text"' in email["text"]
