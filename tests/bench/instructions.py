"""Instructions of a request, counted by valgrind: ``python tests/bench/instructions.py [--subject chassis]``.

Counted are two runs of a program that differ in their number of requests, so that the start, the end and all
that happens once cancel out. The count depends on nothing that the machine does beside: repeats agree within
1 %, mostly within 0.1 %. It is no time: a slow instruction counts as much as a fast one.

All threads count, so with tracing the exporting thread does too; ``chassis-100`` discards the spans there, and
``chassis-100-export`` encodes them.
"""

import argparse
import asyncio
import gc
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import budgets
import peers
from subjects import HELLO, SUBJECTS, Running, silence

FEW, MANY = 100, 600
_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")


def main() -> int:
    """Count and print. With ``--requests`` be the program that is counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="default: all with a budget")
    parser.add_argument("--requests", type=int, help="answer so many requests and count nothing")
    arguments = parser.parse_args()
    if arguments.requests is not None:
        asyncio.run(answer((arguments.subject or ["chassis"])[0], arguments.requests))
        return 0
    for name, count in measure(arguments.subject or list(budgets.INSTRUCTIONS)).items():
        budget = budgets.INSTRUCTIONS.get(name)
        shown = "" if budget is None else f"  budget {budget:.2f}"
        print(f"{name:<20} {count['instructions']:>10,.0f}  {count['ratio']:.3f}{shown}")
    return 0


def measure(names: list[str]) -> dict[str, dict[str, float]]:
    """Count each subject and the bare one; the ratio is to the latter."""
    wanted = ["bare", *(name for name in names if name != "bare")]
    # Counts do not suffer from a neighbour, so all processors may work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(wanted, pool.map(per_request, wanted), strict=True))
    return {name: {"instructions": count, "ratio": count / counts["bare"]} for name, count in counts.items()}


def per_request(name: str) -> float:
    """Return the instructions of one request of a subject."""
    return (count(name, MANY) - count(name, FEW)) / (MANY - FEW)


def count(name: str, requests: int) -> int:
    """Return the instructions of a whole program that answers so many requests."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *("valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/out"),
                *(sys.executable, "-X", "frozen_modules=on", str(Path(__file__).resolve())),
                *("--subject", name, "--requests", str(requests)),
            ],
            check=False,
            capture_output=True,
            text=True,
            env={**peers.environment(name), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    counted = _COUNTED.search(done.stderr)
    if done.returncode != 0 or counted is None:
        raise RuntimeError(f"{name} could not be counted: {done.stderr[-2000:]}")
    return int(counted[1].replace(",", ""))


async def answer(name: str, requests: int) -> None:
    """Answer so many requests, and fail if one of them failed."""
    random.seed(0)
    silence()
    async with Running(SUBJECTS[name]()) as running:
        gc.collect()
        gc.freeze()
        for _ in range(requests):
            await running.get(HELLO)
            if running.status != 200:
                raise RuntimeError(f"{name} answered {running.status}")


if __name__ == "__main__":
    sys.exit(main())
