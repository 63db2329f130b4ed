"""What the chassis adds to the start of a service: ``python tests/bench/start.py``.

Imports: by time, by instructions, and which packages come along without need. Memory: of an application that
has answered one request. Cold start: from the start of the process to its first answer.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from not_needed import not_needed

import budgets
import cachegrind
import peers
from figures import Figure, spread
from servers import render, serving

ROUNDS = 9
STARTS = 5

BASE = ("fastapi", "uvicorn")
ADDED = ("chassis.app", "chassis.server", "chassis.settings")
"""What the process of a rendered service imports, beside its own code."""
LIBRARIES = ("pydantic_settings", "chassis.structured")
"""The two packages that every service has with it: of settings, and structlog without what it does not use."""

_IMPORTS = """
import sys, time
from importlib import import_module
for name in {base}: import_module(name)
before, began = set(sys.modules), time.process_time()
for name in {added}: import_module(name)
spent = time.process_time() - began
import json
print(json.dumps({{"ms": spent * 1e3, "modules": sorted(set(sys.modules) - before)}}))
"""
_MEMORY = """
import asyncio, gc, os
from subjects import SUBJECTS, Running, scope_of, silence
async def main():
    answers = os.dup(1)
    silence()
    async with Running(SUBJECTS[{subject!r}]()) as running:
        await running.answer(scope_of("/items/1"))
        gc.collect()
        pages = int(open("/proc/self/statm").read().split()[1])
        os.write(answers, str(pages * os.sysconf("SC_PAGE_SIZE") / 2**20).encode())
asyncio.run(main())
"""


def main() -> int:
    """Measure and print."""
    for figure in (*imports(), *measure()):
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure what depends on the machine: time, memory, cold start."""
    return [import_time(), *memory(), *cold_starts()]


def imports() -> list[Figure]:
    """Measure what repeats of the imports: their instructions, and the packages that came without need."""
    # First, for it leaves bytecode behind: to compile a module that was just edited is no part of a start.
    modules = _ask(_program(ADDED))["modules"]
    added, libraries, base = (
        cachegrind.count(["-c", _program(names)], _environment()) for names in (ADDED, LIBRARIES, ())
    )
    found = not_needed(modules)
    return [
        Figure(
            measure="imports, million instructions",
            subject="chassis",
            value=(added - base) / 1e6,
            unit="M",
            budget=budgets.IMPORT_MEGAINSTRUCTIONS,
            gates=True,
            absolute=f"{len(modules)} modules over {' and '.join(BASE)}",
        ),
        Figure(
            measure="imports, million instructions",
            subject="libraries",
            value=(libraries - base) / 1e6,
            unit="M",
            absolute="of these: pydantic-settings and structlog",
        ),
        Figure(
            measure="imports, not needed",
            subject="chassis",
            value=len(found),
            unit="packages",
            budget=budgets.IMPORT_UNWANTED,
            gates=True,
            absolute=", ".join(found),
        ),
    ]


def import_time() -> Figure:
    """Measure the time of the imports."""
    found = spread([_ask(_program(ADDED))["ms"] for _ in range(ROUNDS)])
    return Figure(
        measure="imports, time",
        subject="chassis",
        value=found.middle,
        unit="ms",
        low=found.low,
        high=found.high,
        budget=budgets.IMPORT_MS,
    )


def memory() -> list[Figure]:
    """Measure what the chassis adds to the resident memory of FastAPI, and the libraries alone."""
    programs = {name: _MEMORY.format(subject=name) for name in ("bare", "chassis")}
    programs["libraries"] = "".join(f"import {name}\n" for name in LIBRARIES) + programs["bare"]
    rounds = [{name: _ask(program) for name, program in programs.items()} for _ in range(STARTS)]
    return [
        Figure(
            measure="memory over bare",
            subject=name,
            value=(found := spread([one[name] - one["bare"] for one in rounds])).middle,
            unit="MiB",
            low=found.low,
            high=found.high,
            budget=budget,
            absolute=absolute,
        )
        for name, budget, absolute in (
            ("chassis", budgets.MEMORY_MIB, f"bare {spread([one['bare'] for one in rounds]).middle:.1f} MiB"),
            ("libraries", None, "of these: pydantic-settings and structlog"),
        )
    ]


def cold_starts() -> list[Figure]:
    """Measure from the start of a process to its first answer."""
    with tempfile.TemporaryDirectory() as name:
        service = render(Path(name))
        rounds = [
            {subject: _start(subject, service) for subject in ("bare", "chassis")} for _ in range(STARTS)
        ]
    return [
        Figure(
            measure="cold start to first answer",
            subject=subject,
            value=(found := spread([one[subject] * 1e3 for one in rounds])).middle,
            unit="ms",
            low=found.low,
            high=found.high,
        )
        for subject in ("bare", "chassis")
    ]


def _start(subject: str, service: Path) -> float:
    with serving(subject, service) as server:
        return server.seconds_to_start


def _program(added: Sequence[str]) -> str:
    return _IMPORTS.format(base=BASE, added=tuple(added))


def _environment() -> dict[str, str]:
    return {**peers.environment("chassis"), "PYTHONPATH": str(Path(__file__).parent)}


def _ask(program: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=_environment()
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
