"""The figures that pages tell are those of the newest complete run of ``make bench`` that was kept."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PERFORMANCE = ROOT / "docs/explanation/performance.md"
RUNS = (ROOT / "tests/bench/history.jsonl").read_text(encoding="utf-8").splitlines()


def newest() -> list[dict[str, Any]]:
    """The figures of the newest run that measured everything."""
    runs = [json.loads(line)["figures"] for line in RUNS]
    return next(run for run in reversed(runs) if any(one["measure"] == "make update" for one in run))


def value(measure: str, subject: str) -> float:
    (found,) = [one["value"] for one in newest() if (one["measure"], one["subject"]) == (measure, subject)]
    return float(found)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_tables_hold_every_figure_of_the_run_and_no_other() -> None:
    numbers = PERFORMANCE.read_text(encoding="utf-8").split("<!-- numbers:")[1]
    rows = [line.split(" | ") for line in numbers.splitlines() if line.startswith("| ") and "---" not in line]
    told = [
        (row[0].removeprefix("| "), row[1].strip("`"), row[2].split()[0])
        for row in rows
        if row[1] != "subject"
    ]
    assert sorted(told) == sorted((one["measure"], one["subject"], f"{one['value']:.2f}") for one in newest())


def test_a_figure_over_its_budget_is_told_to_be() -> None:
    page = PERFORMANCE.read_text(encoding="utf-8")
    over = [f"{one['budget']:g} (over)" for one in newest() if one.get("within") is False]
    assert page.count(" (over) |") == len(over)
    assert all(one in page for one in over)


def test_the_figures_at_their_budgets_are_named() -> None:
    assert "Two figures lie at their budgets" in PERFORMANCE.read_text(encoding="utf-8")
    named = {("sockets, server CPU", "chassis-100"), ("copier copy", f"{_files()} files")}
    found = {
        (one["measure"], one["subject"]): one["value"] / one["budget"]
        for one in newest()
        if one.get("within") is False
    }
    assert found.keys() <= named
    assert all(ratio < 1.25 for ratio in found.values())
    of_jinja = list((ROOT / "template").rglob("*.jinja"))
    assert len(of_jinja) == pytest.approx(60, rel=0.1)


def _files() -> str:
    (subject,) = [one["subject"] for one in newest() if one["measure"] == "copier copy"]
    return subject.removesuffix(" files")


@pytest.mark.parametrize(
    ("page", "says", "measure", "subject", "least", "most"),
    [
        ("README.md", "a third of the instructions", "instructions, hello-world", "chassis", 0.28, 0.38),
        ("README.md", "about half of its processor time", "sockets, server CPU", "chassis", 0.45, 0.6),
        ("README.md", "take seven times as much", "instructions, hello-world", "usual", 6.5, 7.5),
    ],
)
def test_a_figure_in_words_is_near_the_measured_one(
    *, page: str, says: str, measure: str, subject: str, least: float, most: float
) -> None:
    assert says in " ".join(text(page).split())
    assert least <= value(measure, subject) <= most


def test_a_service_starts_in_about_the_time_of_bare_fastapi() -> None:
    assert "starts in about the time of bare FastAPI" in " ".join(text("README.md").split())
    assert value("start to first answer, instructions", "chassis") < 1.1
    start = "cold start to first answer"
    assert value(start, "chassis") == pytest.approx(value(start, "bare"), rel=0.1)


def test_what_masking_costs_is_what_was_measured() -> None:
    told = dict(
        re.findall(r"^\| ([^|]+) \| ([\d.]+) us \|$", text("docs/reference/masking.md"), re.MULTILINE)
    )
    measured = {
        "clean, its texts seen before": "clean",
        "clean, all its texts new": "clean, all texts new",
        "with five secrets in four fields": "dirty",
    }
    assert told.keys() == measured.keys()
    for words, subject in measured.items():
        assert float(told[words]) == pytest.approx(value("masking, 16 fields", subject), rel=0.1)


def test_what_the_start_costs_is_shared_as_the_page_says() -> None:
    measure = "imports, million instructions"
    put_off, libraries, own = (value(measure, subject) for subject in ("put off", "libraries", "own"))
    assert put_off < 0 < min(libraries, own)
    assert -put_off == pytest.approx(libraries + own, rel=0.15)
    assert put_off + libraries + own == pytest.approx(value(measure, "chassis"), abs=0.1)
