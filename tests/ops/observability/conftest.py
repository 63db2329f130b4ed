"""What the checks share: a rendered service, the programs that read it, and every query in it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import promql_parser
import pytest
import yaml

ANSWERS = {"service_name": "Orders", "team": "Payments", "team_email": "payments@example.com"}


@pytest.fixture(scope="session")
def program(tool: Callable[[str], str]) -> Callable[[str], str]:
    """The path of a program. Debian's names differ from upstream's."""

    def found(name: str) -> str:
        return tool({"alertmanager": "prometheus-alertmanager"}.get(name, name))

    return found


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render the service Orders of the team Payments, with these answers too.

    The library is the same for all answers and most of the work: it comes only when asked for.
    """

    def rendered(*, library: bool = False, **answers: Any) -> Path:
        folder = tmp_path_factory.mktemp("rendered") / "service"
        left_out = () if library else ("/chassis",)
        given = ANSWERS | answers
        copier.run_copy(str(template), folder, data=given, exclude=left_out, defaults=True, quiet=True)
        return folder

    return rendered


@pytest.fixture(scope="session")
def service(render: Callable[..., Path]) -> Path:
    """A service with every bundle that has rules."""
    return render(bundles=["database"])


@pytest.fixture(scope="session")
def rules(service: Path) -> dict[str, list[dict[str, Any]]]:
    """Every rule, by the name of its file."""
    files = sorted((service / "deploy/prometheus/rules").glob("*.yml"))
    return {
        file.stem: [
            rule
            for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
            for rule in group["rules"]
        ]
        for file in files
    }


@pytest.fixture(scope="session")
def alerts(rules: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for file in rules.values() for rule in file if "alert" in rule]


@pytest.fixture(scope="session")
def dashboards(service: Path) -> dict[str, dict[str, Any]]:
    """Every dashboard, by the name of its file."""
    files = sorted((service / "deploy/grafana/dashboards/chassis").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


@dataclass(frozen=True)
class Query:
    """An expression, ready for Prometheus, and where it stands."""

    where: str
    expression: str
    instant: bool = True

    def selectors(self) -> list[tuple[str, set[str]]]:
        """The metrics in it, each with the labels that are compared."""
        found: list[promql_parser.VectorSelector] = []

        def visit(node: promql_parser.Expr) -> None:
            if isinstance(node, promql_parser.VectorSelector):
                found.append(node)
            elif isinstance(node, promql_parser.MatrixSelector):
                found.append(node.vector_selector)

        promql_parser.walk(promql_parser.parse(self.expression), visit)
        return [(one.name or "", {matcher.name for matcher in one.matchers.matchers}) for one in found]


@pytest.fixture(scope="session")
def queries(
    service: Path, rules: dict[str, list[dict[str, Any]]], dashboards: dict[str, dict[str, Any]]
) -> list[Query]:
    """Every expression of the rules, the dashboards and the runbooks."""
    return [*_of_rules(rules), *_of_dashboards(dashboards), *_of_runbooks(service)]


def _of_rules(rules: dict[str, list[dict[str, Any]]]) -> Iterator[Query]:
    for file, content in rules.items():
        for rule in content:
            yield Query(f"rule of {file}: {rule.get('alert') or rule['record']}", str(rule["expr"]))


def _of_dashboards(dashboards: dict[str, dict[str, Any]]) -> Iterator[Query]:
    for name, dashboard in dashboards.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                where = f"dashboard {name}: {panel['title']} {target['refId']}"
                yield Query(where, _filled_in(target["expr"]), instant=target.get("instant", False))
        for annotation in dashboard["annotations"]["list"]:
            yield Query(f"dashboard {name}: annotation", _filled_in(annotation["expr"]), instant=False)


def _of_runbooks(service: Path) -> Iterator[Query]:
    for page in sorted((service / "docs/runbooks").glob("*.md")):
        for block in re.findall(
            r"^```promql\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for line in block.splitlines():
                yield Query(f"runbook {page.stem}", line, instant=False)


def _filled_in(expression: str) -> str:
    """What Grafana would ask for the service Orders and all of its instances."""
    values = {"$__rate_interval": "20s", "$job": "orders", "$instance": ".*"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return expression
