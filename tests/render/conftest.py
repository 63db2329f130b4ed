"""What the render tests share: a snapshot of the template, a renderer, and the matrix of answers.

The matrix is computed from copier.yml, so a new question or choice enters it by itself.
"""

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from quick_copier import quick_copier

ROOT = Path(__file__).resolve().parents[2]

Answers = dict[str, Any]

# One good answer beside the default for every question that has no choices.
OTHER_ANSWERS = {
    "service_name": 'Größe & "Maß" 🚀',
    "service_slug": "no",
    "package_name": "match",
    "description": """It's "100 % $HOME `id`" \\ {{ x }} {% y %} #% z: [a, b] & <b> | é 🚀 ${A} $(B)""",
    "team": "'Payments': {a: b} #1",
    "team_email": "first.last+tag@mail.example.co.uk",
    "port": 65535,
    "image_registry": "localhost:5000/team/shop",
    "repository_url": "https://git.example.com:8443/shop/orders_v1.2",
}


def questions() -> dict[str, dict[str, Any]]:
    """The questions of copier.yml that are asked, by name; the lists of paths are about adopted services."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    return {
        name: details
        for name, details in settings.items()
        if not name.startswith("_") and details["type"] != "yaml"
    }


def choices(details: Mapping[str, Any]) -> list[str]:
    """The values that a question offers."""
    offered = details["choices"]
    return list(offered.values()) if isinstance(offered, dict) else list(offered)


def factors() -> dict[str, list[Any]]:
    """Everything that can vary: a question, or one choice of a multiselect, with its values."""
    varied: dict[str, list[Any]] = {}
    for name, details in questions().items():
        if details.get("multiselect"):
            varied |= {f"{name}.{choice}": [False, True] for choice in choices(details)}
        elif "choices" in details:
            varied[name] = choices(details)
        else:
            varied[name] = [None, OTHER_ANSWERS[name]]
    return varied


def pairs(varied: Mapping[str, list[Any]]) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
    """Every pair of values of two different factors."""
    return {
        ((one, left), (two, right))
        for one, two in itertools.combinations(varied, 2)
        for left, right in itertools.product(varied[one], varied[two])
    }


def pairwise(varied: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Rows of values in which every pair occurs: greedy, so the same rows every time."""
    order = list(varied)
    missing = pairs(varied)
    rows = []
    while missing:
        row: dict[str, Any] = {}
        seed = min(
            missing,
            key=lambda pair: [(name, order.index(name), varied[name].index(value)) for name, value in pair],
        )
        row |= dict(seed)
        for name in order:
            if name not in row:
                row[name] = max(
                    varied[name], key=lambda value, name=name: _gain(row, name, value, missing, order)
                )
        covered = {(a, b) for a, b in missing if row[a[0]] == a[1] and row[b[0]] == b[1]}
        missing -= covered
        rows.append(row)
    return rows


def _gain(row: Mapping[str, Any], name: str, value: object, missing: set[Any], order: list[str]) -> int:
    """How many missing pairs a value would cover with the values chosen so far."""
    return sum(
        (
            ((name, value), (other, row[other]))
            if order.index(name) < order.index(other)
            else ((other, row[other]), (name, value))
        )
        in missing
        for other in row
    )


def to_answers(row: Mapping[str, Any]) -> Answers:
    """Turn a row of factors into answers; what has its default is left out."""
    answers: Answers = {}
    for factor, value in row.items():
        name, _, choice = factor.partition(".")
        if choice:
            answers.setdefault(name, [])
            if value:
                answers[name].append(choice)
        elif value is not None:
            answers[name] = value
    return answers


@cache
def matrix() -> dict[str, Answers]:
    """Every answer set that is rendered: all off, all on, each alone, and the pairwise rows."""
    varied = factors()
    off: dict[str, Any] = {name: _off(values) for name, values in varied.items()}
    on = {
        name: values[0] if values[0] is not False and values[0] is not None else values[-1]
        for name, values in varied.items()
    }
    sets = {"all-off": off, "all-on": on}
    for name, values in varied.items():
        sets |= {
            f"only-{name}-{number}": off | {name: value}
            for number, value in enumerate(values)
            if value != off[name]
        }
    sets |= {f"pairs-{number}": row for number, row in enumerate(pairwise(varied))}
    return {name: to_answers(row) for name, row in sets.items()}


def _off(values: list[Any]) -> object:
    return "none" if "none" in values else values[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``answer_set`` every set of the matrix."""
    if "answer_set" in metafunc.fixturenames:
        metafunc.parametrize("answer_set", list(matrix()), scope="session")


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    with quick_copier():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it would be committed now, in a repository of its own."""
    return snapshot(tmp_path_factory.mktemp("template"), leave_out="\0")


@pytest.fixture(scope="session")
def slim_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without the modules of the library: the same for all answers, and most of the work."""
    return snapshot(tmp_path_factory.mktemp("slim"), leave_out="template/chassis/src/")


def snapshot(folder: Path, leave_out: str) -> Path:
    """Copy what git would commit, and commit it as version 0.1.0."""
    sources = ("copier.yml", "questions", "template")
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z", *sources)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(leave_out):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    commit(folder)
    git(folder, "tag", "9.1.0")
    return folder


@pytest.fixture(scope="session")
def render(
    template: Path, slim_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Render the template with these answers and the defaults; returns the folder."""

    def rendered(*, library: bool = True, **answers: Any) -> Path:
        folder = tmp_path_factory.mktemp("rendered") / "service"
        source = template if library else slim_template
        copier.run_copy(str(source), folder, data=answers, defaults=True, quiet=True)
        return folder

    return rendered


@pytest.fixture(scope="session")
def _rendered_sets() -> dict[str, Path]:
    return {}


@pytest.fixture
def service(answer_set: str, render: Callable[..., Path], _rendered_sets: dict[str, Path]) -> Path:
    """A service rendered with one set of the matrix, once for all tests that look at it; without library."""
    if answer_set not in _rendered_sets:
        _rendered_sets[answer_set] = render(library=False, **matrix()[answer_set])
    return _rendered_sets[answer_set]


@pytest.fixture(scope="session")
def answers_of() -> Callable[[str], Answers]:
    """The answers of a set of the matrix."""
    return lambda name: matrix()[name]


@pytest.fixture(scope="session")
def own_files() -> Callable[[Path], dict[str, Path]]:
    """Every rendered file outside the vendored library, by its path in the service."""

    def listed(folder: Path) -> dict[str, Path]:
        return {path: file for path, file in _files(folder) if not path.startswith(("chassis/", ".git/"))}

    return listed


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def git(folder: Path, *arguments: str) -> str:
    """Run git without anyone's configuration."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(folder: Path, message: str = "change") -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


@pytest.fixture(scope="session")
def matrix_names() -> list[str]:
    """The names of all answer sets."""
    return list(matrix())
