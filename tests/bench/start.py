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

UNWANTED = frozenset(
    {
        "_pytest",
        "aiosqlite",
        "alembic",
        "asyncpg",
        "attr",
        "azure",
        "boto3",
        "colorama",
        "ctypes",
        "google",
        "grpc",
        "httpcore2",
        "httpx2",
        "jinja2",
        "multiprocessing",
        "opentelemetry.exporter",
        "opentelemetry.sdk",
        "prometheus_client",
        "psutil",
        "pygments",
        "pytest",
        "requests",
        "rich",
        "sqlalchemy",
        "typer",
        "watchfiles",
        "yaml",
    }
)
"""Packages that nothing needs before it is asked for: bundles, exporters, the command, the reloader."""

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
    return [import_time(), memory(), *cold_starts()]


def imports() -> list[Figure]:
    """Measure what repeats of the imports: their instructions, and the packages that came without need."""
    # First, for it leaves bytecode behind: to compile a module that was just edited is no part of a start.
    modules = _ask(_program(ADDED))["modules"]
    added, base = (cachegrind.count(["-c", _program(names)], _environment()) for names in (ADDED, ()))
    found = unwanted(modules)
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


def memory() -> Figure:
    """Measure what the chassis adds to the resident memory of FastAPI."""
    rounds = [
        {name: _ask(_MEMORY.format(subject=name)) for name in ("bare", "chassis")} for _ in range(STARTS)
    ]
    found = spread([one["chassis"] - one["bare"] for one in rounds])
    return Figure(
        measure="memory over bare",
        subject="chassis",
        value=found.middle,
        unit="MiB",
        low=found.low,
        high=found.high,
        budget=budgets.MEMORY_MIB,
        absolute=f"bare {spread([one['bare'] for one in rounds]).middle:.1f} MiB",
    )


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


def unwanted(modules: Sequence[str]) -> list[str]:
    """Return the packages among these modules that nothing needs."""
    return sorted(
        name for name in UNWANTED if any(one == name or one.startswith(f"{name}.") for one in modules)
    )


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
