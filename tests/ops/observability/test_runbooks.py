"""Every alert has a page, every page an alert, and the pages speak of what exists."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.bundles.database.settings import DatabaseSettings
from chassis.service_settings import ServiceSettings
from chassis.settings import load, provenance

pytestmark = pytest.mark.ops

OTHERS = {"README", "service"}
SECTIONS = ["What it means", "How to see it", "What to do"]


@pytest.fixture(scope="module")
def pages(service: Path) -> dict[str, str]:
    return {
        file.stem: file.read_text(encoding="utf-8")
        for file in sorted((service / "docs/runbooks").glob("*.md"))
    }


def test_there_is_one_page_for_each_alert(pages: dict[str, str], alerts: list[dict[str, Any]]) -> None:
    named = {Path(alert["annotations"]["runbook_url"]).stem for alert in alerts}
    assert set(pages) - OTHERS == named


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


def test_pages_name_dashboards_and_alerts_that_exist(
    pages: dict[str, str], alerts: list[dict[str, Any]], dashboards: dict[str, dict[str, Any]]
) -> None:
    titles = {dashboard["title"] for dashboard in dashboards.values()}
    names = {alert["alert"] for alert in alerts}
    for name, text in pages.items():
        prose = " ".join(text.split())
        assert set(re.findall(r'"(Chassis: [a-z]+)"', prose)) <= titles, name
        assert set(re.findall(r"\b(?:Service|Database)(?:[A-Z][a-z]+)+\b", prose)) <= names, name


def test_pages_name_variables_that_exist(pages: dict[str, str], tmp_path: Path) -> None:
    class Known(ServiceSettings):
        database: DatabaseSettings = DatabaseSettings()

    known = {origin.variable for origin in provenance(load(Known, environ={}, directory=tmp_path))}
    used = {word for text in pages.values() for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text)}
    assert used - known == set()


def test_pages_name_log_events_that_the_chassis_writes(pages: dict[str, str]) -> None:
    source = Path(ServiceSettings.__module__.replace(".", "/"))
    root = Path(__file__).resolve().parents[3] / "template/chassis/src" / source.parent
    code = "\n".join(file.read_text(encoding="utf-8") for file in root.rglob("*.py"))
    for name, text in pages.items():
        for event in re.findall(r"event\s+`([^`]+)`", text):
            assert f'"{event}"' in code, f"{name}: {event}"
