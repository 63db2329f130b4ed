"""What stays of a run: build/bench.json, history.jsonl, the numbers and the picture of the documentation."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import picture
from figures import Figure
from peers import ROOT

NEWEST = ROOT / "build" / "bench.json"
HISTORY = Path(__file__).with_name("history.jsonl")
PAGE = ROOT / "docs" / "explanation" / "performance.md"
PICTURE = PAGE.with_suffix(".svg")
_BEGIN, _END = "<!-- numbers: begin -->", "<!-- numbers: end -->"
_PACKAGES = ("fastapi", "starlette", "uvicorn", "structlog", "opentelemetry-sdk", "copier")


def write(figures: Sequence[Figure], place: Path = NEWEST) -> None:
    """Write the newest run, for machines."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(described(figures), indent=2) + "\n", encoding="utf-8")


def keep(figures: Sequence[Figure], *, complete: bool) -> None:
    """Add a run to the history; a complete one renews the documentation too."""
    with HISTORY.open("a", encoding="utf-8") as history:
        history.write(json.dumps(described(figures), separators=(",", ":")) + "\n")
    if not complete:
        return
    PICTURE.write_text(picture.draw(figures), encoding="utf-8")
    PAGE.write_text(with_numbers(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


def described(figures: Sequence[Figure]) -> dict[str, object]:
    """Return a run with what it was made on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "figures": [figure.as_record() for figure in figures],
    }


def with_numbers(page: str, figures: Sequence[Figure]) -> str:
    """Return a page with its tables made anew. Raises ``ValueError`` for a page without their place."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has no {_BEGIN} ... {_END}")
    return f"{head}{begin}\n\n{tables(figures)}\n\n{end}{tail}"


def tables(figures: Sequence[Figure]) -> str:
    """Return two Markdown tables: what is compared with bare FastAPI, and the rest."""
    lines = [_made_on(), ""]
    for compared in (True, False):
        lines += [
            f"| | subject | {'against bare FastAPI' if compared else 'measured'} | quartiles | budget | |",
            "| --- | --- | ---: | --- | ---: | --- |",
            *(_row(figure) for figure in figures if (figure.unit == "x bare") is compared),
            "",
        ]
    return "\n".join(lines).rstrip()


def _row(figure: Figure) -> str:
    unit = "" if figure.unit == "x bare" else f" {figure.unit}"
    around = "" if figure.low is None or figure.high is None else f"{figure.low:.2f} to {figure.high:.2f}"
    budget = "" if figure.budget is None else f"{figure.budget:g}{'' if figure.within else ' (over)'}"
    cells = (
        figure.measure,
        f"`{figure.subject}`",
        f"{figure.value:.2f}{unit}",
        around,
        budget,
        figure.absolute,
    )
    return f"| {' | '.join(cells)} |"


def _made_on() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    day = datetime.now(UTC).date().isoformat()
    return f"Run of {day}: Python {platform.python_version()}, {packages}; {os.cpu_count()} processors."


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
