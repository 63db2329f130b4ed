"""Time of a request without a socket: ``python tests/bench/in_process.py [--rounds 15]``.

Each subject is a process of its own, since logging belongs to the process. They take turns: one round lets
each of them answer some requests, and a ratio is made within a round. Hello-world is measured in processor
time, of all threads; the handler of one millisecond by the clock, median.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import IO

import budgets
import peers
from figures import Figure, ratios, spread
from subjects import SUBJECTS, Running, hello_path, scope_of, silence, work_path

ROUNDS = 15
HELLOS, WORKS = 1500, 60
COMPARED = ("bare", "usual", budgets.UNTRACED, budgets.ONE_PERCENT, budgets.EVERY_REQUEST)


def main() -> int:
    """Measure and print. With ``--serve`` be a subject."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", choices=SUBJECTS, help="be this subject and take orders on standard input")
    arguments = parser.parse_args()
    if arguments.serve:
        answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        asyncio.run(serve(arguments.serve, answers))
        return 0
    for figure in measure(rounds=arguments.rounds):
        print(figure.line())
    return 0


def measure(names: Sequence[str] = COMPARED, *, rounds: int = ROUNDS) -> list[Figure]:
    """Measure the subjects against each other."""
    with ExitStack() as stack:
        subjects = {name: stack.enter_context(started(name)) for name in names}
        for subject in subjects.values():
            subject.ask(HELLOS)
        found = [{name: subject.ask(HELLOS) for name, subject in subjects.items()} for _ in range(rounds)]
    hello = [{name: answer["hello"] for name, answer in one.items()} for one in found]
    work = [{name: answer["work"] for name, answer in one.items()} for one in found]
    return [
        *(_figure("in-process, hello-world", name, hello, budgets.IN_PROCESS) for name in names),
        *(_figure("in-process, 1 ms handler", name, work, budgets.HANDLER_1_MS) for name in names),
    ]


class Subject:
    """A subject in a process of its own."""

    def __init__(self, name: str, orders: IO[str], answers: IO[str]) -> None:
        self._name = name
        self._orders = orders
        self._answers = answers

    def ask(self, requests: int) -> dict[str, float]:
        """Let it answer; returns seconds of a hello-world and of the handler of one millisecond."""
        print(requests, file=self._orders, flush=True)
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"a subject ended by itself: {self._name}")
        found: dict[str, float] = json.loads(line)
        return found


@contextmanager
def started(name: str) -> Iterator[Subject]:
    """Run a subject until the block is left."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", name]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=peers.environment(name),
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the pipes to a subject are missing")
        yield Subject(name, process.stdin, process.stdout)
        process.stdin.close()


async def serve(name: str, answers: IO[str]) -> None:
    """Be a subject: take orders until there are none."""
    silence()
    async with Running(SUBJECTS[name]()) as running:
        gc.collect()
        gc.freeze()
        number = 0
        for line in sys.stdin:
            requests = int(line)
            found = {
                "hello": await _hello(running, range(number, number + requests)),
                "work": await _work(running, range(number, number + WORKS)),
            }
            number += requests
            print(json.dumps(found), file=answers, flush=True)


async def _hello(running: Running, numbers: range) -> float:
    scopes = [scope_of(hello_path(number)) for number in numbers]
    began = process_time()
    for scope in scopes:
        await running.answer(scope)
    return (process_time() - began) / len(scopes)


async def _work(running: Running, numbers: range) -> float:
    seconds = []
    for number in numbers:
        scope = scope_of(work_path(number))
        began = perf_counter()
        await running.answer(scope)
        seconds.append(perf_counter() - began)
    return median(seconds)


def _figure(measure: str, name: str, rounds: list[dict[str, float]], allowed: Mapping[str, float]) -> Figure:
    found = ratios(rounds, name)
    micros = spread([one[name] * 1e6 for one in rounds]).middle
    return Figure(
        measure=measure,
        subject=name,
        value=found.middle,
        unit="x bare",
        low=found.low,
        high=found.high,
        budget=allowed.get(name),
        absolute=f"{micros:,.1f} us",
    )


if __name__ == "__main__":
    sys.exit(main())
