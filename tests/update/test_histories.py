"""Services that their owners edited, in many ways and from every release, updated: nothing is lost.

`UPDATE_HISTORIES=300` runs that many instead of a few, `UPDATE_SEED=17` the one that failed.
"""

import os
import shutil
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from histories import EDITS, work
from owner import Owner
from ownership import files
from promises import broken_promises, contents, failed_tests
from releases import HANDED_OVER, Releases, commit, numbers

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

SAMPLE = 4
# A prime, so that a few seeds spread over journeys and answers, and many visit all.
STRIDE = 7919
# Of how many histories one also runs the service's own tests.
TESTED = 6

ANSWERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "bundles": "all",
        "ci": "gitlab",
        "deployment": "compose",
        "description": 'It\'s "quoted" é 🚀',
    },
    "little": {
        "service_name": "Größe & Maß",
        "ci": "none",
        "deployment": "none",
        "team": "'Payments': {a: b} #1",
    },
    "database": {"service_name": "Orders", "bundles": ["database"]},
}


def seeds() -> list[int]:
    """The histories to run."""
    if chosen := os.environ.get("UPDATE_SEED"):
        return [int(chosen)]
    return list(range(int(os.environ.get("UPDATE_HISTORIES", SAMPLE))))


def journeys(releases: Releases) -> list[tuple[str, str]]:
    """Give every released version with the present one, and the present with the one that follows."""
    to_present = [(version, releases.present) for version in releases.released]
    return [*to_present, (releases.present, releases.following)]


def answers_for(releases: Releases, version: str, name: str) -> dict[str, Any]:
    """Give a set of answers as far as a version asks for them."""
    questions = releases.questions(version)
    answers = {question: answer for question, answer in ANSWERS[name].items() if question in questions}
    if answers.get("bundles") == "all":
        answers["bundles"] = list(questions["bundles"]["choices"].values())
    return answers


@pytest.mark.parametrize("seed", seeds())
def test_an_update_keeps_what_the_owner_wrote(
    seed: int,
    releases: Releases,
    rendered: Callable[..., Path],
    update: Callable[..., None],
    tmp_path: Path,
) -> None:
    possible = list(product(journeys(releases), ANSWERS))
    (source, target), name = possible[seed * STRIDE % len(possible)]
    began = rendered(source, name, **answers_for(releases, source, name))
    service = Path(shutil.copytree(began, tmp_path / "service", symlinks=True))
    done = work(service, seed)
    commit(service, "Years of work")
    before = Path(shutil.copytree(service, tmp_path / "before", symlinks=True))
    update(service, to=target, unsafe=releases.crosses_migration(source, target))
    fresh = rendered(target, f"{name}-from-{source}", **recorded(began))
    broken = broken_promises(service, before, began, fresh)
    broken += uncompilable(service)
    if not broken and seed % TESTED == 0:
        broken += failed_tests(service)
    story = f"{source} -> {target}, answers {name}: {', '.join(done)}"
    assert broken == [], f"repeat it with UPDATE_SEED={seed}\n{story}\n" + "\n".join(broken)


def recorded(service: Path) -> dict[str, Any]:
    """Give the answers of a service."""
    answers = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {question: answer for question, answer in answers.items() if not question.startswith("_")}


def uncompilable(service: Path) -> list[str]:
    """Find Python files that are none any more."""
    broken = []
    for path, file in files(service).items():
        if path.endswith(".py") and not path.startswith("chassis/"):
            try:
                compile(file.read_bytes(), path, "exec")
            except SyntaxError as error:
                broken.append(f"does not compile: {path}: {error}")
    return broken


@pytest.mark.parametrize("name", ANSWERS if "UPDATE_HISTORIES" in os.environ else ["plain"])
def test_one_update_through_several_releases_equals_one_after_the_other(
    name: str,
    releases: Releases,
    rendered: Callable[..., Path],
    update: Callable[..., None],
    tmp_path: Path,
) -> None:
    versions = sorted([*releases.released, releases.present], key=numbers)
    if name == "plain":
        versions += [releases.following, releases.last]
    began = rendered(versions[0], name, **answers_for(releases, versions[0], name))
    at_once = Path(shutil.copytree(began, tmp_path / "service", symlinks=True))
    work(at_once, 4711, edits=15)
    commit(at_once)
    stepwise = Path(shutil.copytree(at_once, tmp_path / "stepwise" / "service", symlinks=True))
    update(at_once, to=versions[-1], unsafe=releases.crosses_migration(versions[0], versions[-1]))
    for source, target in pairwise(versions):
        update(stepwise, to=target, unsafe=releases.crosses_migration(source, target))
        commit(stepwise, target)
    steps, once = contents(stepwise), contents(at_once)
    # A file that was handed over stays as the last version that rendered it left it.
    assert {**steps, HANDED_OVER: b""} == {**once, HANDED_OVER: b""}


def test_every_edit_can_be_made(releases: Releases, rendered: Callable[..., Path], tmp_path: Path) -> None:
    service = Path(shutil.copytree(rendered(releases.present), tmp_path / "service", symlinks=True))
    owner = Owner(service, 1)
    in_order = sorted(EDITS, key=lambda edit: edit.__name__.startswith("delete"))
    assert [edit.__name__ for edit in in_order if not any(edit(owner) for _ in range(20))] == []


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({}, list(range(SAMPLE))),
        ({"UPDATE_HISTORIES": "300"}, list(range(300))),
        ({"UPDATE_SEED": "17"}, [17]),
    ],
)
def test_variables_choose_the_histories(
    variables: dict[str, str], chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UPDATE_HISTORIES", "UPDATE_SEED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert seeds() == chosen


def test_many_histories_begin_at_every_release(releases: Releases) -> None:
    possible = list(product(journeys(releases), ANSWERS))
    visited = {possible[seed * STRIDE % len(possible)] for seed in range(len(possible))}
    assert visited == set(possible)
    sources = {source for (source, target), _ in visited if target == releases.present}
    assert sources == set(releases.released)


def test_a_seed_repeats_its_history(
    releases: Releases, rendered: Callable[..., Path], tmp_path: Path
) -> None:
    twice = [tmp_path / "one", tmp_path / "two"]
    for service in twice:
        shutil.copytree(rendered(releases.present), service, symlinks=True)
    assert work(twice[0], 7) == work(twice[1], 7)
    assert contents(twice[0]) == contents(twice[1])
