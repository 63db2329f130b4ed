"""Instructions of a request, counted by valgrind: ``python tests/bench/instructions.py [--subject chassis]``.

Counted are two runs of a program that differ in their number of requests, so that the start, the end and all
that happens once cancel out. The count depends on nothing that the machine does beside: repeats agree within
1 %. It is no time: a slow instruction counts as much as a fast one, and what the kernel
does is not counted at all. The caller's own share, about 2 % of a bare request, is in every count.

All threads count. ``chassis-100`` throws its spans away in the exporting thread, as the budget of a request
asks; ``chassis-100-export`` makes the bytes of them that would be sent.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import budgets
import cachegrind
import peers
from figures import Figure
from subjects import SUBJECTS, Running, hello_path, scope_of, silence

FEW, MANY, MANY_GATED = 100, 600, 1600
"""Requests of the two runs. The larger difference makes a gate steady: a start varies by two millions."""

GATED = tuple(budgets.INSTRUCTIONS)


def main() -> int:
    """Count and print. With ``--requests`` be the program that is counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="default: those with a budget")
    parser.add_argument("--requests", type=int, help="answer so many requests and count nothing")
    arguments = parser.parse_args()
    if arguments.requests is not None:
        asyncio.run(answer((arguments.subject or ["bare"])[0], arguments.requests))
        return 0
    for figure in measure(arguments.subject or GATED):
        print(figure.line())
    return 0


def measure(names: Sequence[str] = tuple(SUBJECTS)) -> list[Figure]:
    """Count each subject and the bare one, which all are compared with."""
    counts = counted(names)
    return [
        Figure(
            measure="instructions, hello-world",
            subject=name,
            value=found / counts["bare"],
            unit="x bare",
            budget=budgets.INSTRUCTIONS.get(name),
            gates=name in budgets.INSTRUCTIONS,
            absolute=f"{found:,.0f}",
        )
        for name, found in counts.items()
    ]


def counted(names: Sequence[str]) -> dict[str, float]:
    """Return the instructions of one request of each subject, and of the bare one first."""
    wanted = ["bare", *(name for name in names if name != "bare")]
    for name in wanted:
        peers.environment(name)
    # A count does not suffer from a neighbour, so all processors may work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(wanted, pool.map(per_request, wanted), strict=True))


def per_request(name: str) -> float:
    """Return the instructions of one request of a subject."""
    many = MANY_GATED if name in GATED or name == "bare" else MANY
    return (_count(name, many) - _count(name, FEW)) / (many - FEW)


def _count(name: str, requests: int) -> int:
    program = [str(Path(__file__).resolve()), "--subject", name, "--requests", str(requests)]
    return cachegrind.count(program, peers.environment(name))


async def answer(name: str, requests: int) -> None:
    """Answer so many requests, and fail if one of them failed."""
    random.seed(0)
    silence()
    async with Running(SUBJECTS[name]()) as running:
        gc.collect()
        gc.freeze()
        for number in range(requests):
            await running.answer(scope_of(hello_path(number)))
            if running.status != 200:
                raise RuntimeError(f"{name} answered {running.status}")


if __name__ == "__main__":
    sys.exit(main())
