"""The arithmetic of the benchmarks. Nothing is measured here."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
OWN = [path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("test_", "__"))]


@pytest.fixture(scope="module")
def bench() -> Iterator[Path]:
    """The folder whose scripts import each other by their plain names; forgotten again afterwards."""
    before = {name: sys.modules.pop(name, None) for name in OWN}
    sys.path.insert(0, str(HERE))
    yield HERE
    sys.path.remove(str(HERE))
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def figures(bench: Path) -> ModuleType:
    """The module figures."""
    return importlib.import_module("figures")


@pytest.fixture
def record(bench: Path) -> ModuleType:
    """The module record."""
    return importlib.import_module("record")


@pytest.fixture
def picture(bench: Path) -> ModuleType:
    """The module picture."""
    return importlib.import_module("picture")


def figure(figures: ModuleType, **fields: Any) -> Any:
    return figures.Figure(**{"measure": "m", "subject": "s", "value": 1.0, "unit": "x bare", **fields})


def test_a_single_number_is_its_own_spread(figures: ModuleType) -> None:
    assert figures.spread([3.0]) == figures.Spread(3.0, 3.0, 3.0)


def test_quartiles_surround_the_median(figures: ModuleType) -> None:
    assert figures.spread([5, 1, 3, 2, 4]) == figures.Spread(2, 3, 4)


def test_ratios_are_made_within_a_round(figures: ModuleType) -> None:
    rounds = [{"bare": 1.0, "x": 2.0}, {"bare": 100.0, "x": 200.0}, {"bare": 10.0, "x": 20.0}]
    assert figures.ratios(rounds, "x") == figures.Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("part", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.995, 100), (1, 100)]
)
def test_a_percentile_is_one_of_the_values(figures: ModuleType, part: float, expected: int) -> None:
    assert figures.percentile(list(range(100, 0, -1)), part) == expected


@pytest.mark.parametrize(("budget", "within"), [(None, None), (1.0, True), (0.99, False)])
def test_a_budget_is_kept_up_to_its_value(
    figures: ModuleType, budget: float | None, within: bool | None
) -> None:
    assert figure(figures, budget=budget).within is within


def test_a_record_has_no_empty_fields(figures: ModuleType) -> None:
    expected = {"measure": "m", "subject": "s", "value": 1.0, "unit": "x bare", "gates": False}
    assert figure(figures).as_record() == expected
    assert figure(figures, budget=2.0).as_record() == expected | {"budget": 2.0, "within": True}


def test_a_budget_that_is_not_kept_shows_in_the_line(figures: ModuleType) -> None:
    assert "OVER 0.5" in figure(figures, budget=0.5).line()
    assert "<= 2" in figure(figures, budget=2.0).line()


def test_the_numbers_of_a_page_are_replaced_and_nothing_else(figures: ModuleType, record: ModuleType) -> None:
    page = "Head\n<!-- numbers: begin -->\nold\n<!-- numbers: end -->\nTail\n"
    renewed = record.with_numbers(page, [figure(figures, value=1.23, budget=1.0)])
    assert renewed.startswith("Head\n")
    assert renewed.endswith("<!-- numbers: end -->\nTail\n")
    assert "old" not in renewed
    assert "| m | `s` | 1.23 |  | 1 (over) |  |" in renewed


def test_a_page_without_a_place_for_numbers_is_refused(figures: ModuleType, record: ModuleType) -> None:
    with pytest.raises(ValueError, match="numbers: begin"):
        record.with_numbers("Head\n", [figure(figures)])


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (0.5, 1 / 6), (1, 2 / 6), (1.5, 2.5 / 6), (16, 1), (99, 1)]
)
def test_the_scale_of_the_picture_doubles_with_each_step(
    picture: ModuleType, value: float, expected: float
) -> None:
    assert picture.position(value) == pytest.approx(expected)


def test_the_picture_shows_each_subject(figures: ModuleType, picture: ModuleType) -> None:
    names = ("bare", "chassis", "a<b")
    drawn = picture.draw(
        [figure(figures, measure="instructions, hello-world", subject=name) for name in names]
    )
    assert drawn.count("<rect") == 1 + len(names)
    assert "a&lt;b" in drawn


def test_every_subject_with_a_budget_exists(bench: Path) -> None:
    budgets, subjects = importlib.import_module("budgets"), importlib.import_module("subjects")
    for table in (budgets.INSTRUCTIONS, budgets.IN_PROCESS, budgets.HANDLER_1_MS, budgets.SERVER_CPU):
        assert set(table) <= set(subjects.SUBJECTS)


def test_a_profile_counts_a_function_once_in_each_stack(bench: Path) -> None:
    hotspots = importlib.import_module("hotspots")
    lines = [
        "main (x.py:1);Running.answer (subjects.py:9);f (a.py:1);g (a.py:2);f (a.py:1) 3",
        "other (y.py:1) 5",
    ]
    found = hotspots.read(lines).scaled(6)
    assert found.inside == {"Running.answer (subjects.py:9)": 6, "f (a.py:1)": 6, "g (a.py:2)": 6}
    assert found.own == {"f (a.py:1)": 6}
