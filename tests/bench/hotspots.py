"""Where the instructions of a request go, by function: ``python tests/bench/hotspots.py --subject chassis``.

A sampling profiler (py-spy) looks at the running program from outside, so no function pays for being watched.
The shares are multiplied with the counted instructions of the subject. ``inside`` is a function with all it
calls, ``own`` it alone, C functions included; ``bare`` is what bare FastAPI spends inside of the
same one.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from time import perf_counter

import instructions
import peers
from subjects import SUBJECTS, Running, hello_path, scope_of, silence

PROFILER = Path(__file__).with_name("profiler.txt")
SECONDS, RATE, SHOWN = 20, 500, 60
_REQUEST = "answer (subjects.py"


def main() -> int:
    """Profile and print. With ``--spin`` be the program that is profiled."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subject", choices=SUBJECTS, default="chassis")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--spin", action="store_true", help="answer requests for twice as long")
    arguments = parser.parse_args()
    if arguments.spin:
        asyncio.run(spin(arguments.subject, 2 * arguments.seconds))
        return 0
    total = instructions.counted([arguments.subject])
    bare, found = (
        profile(name, arguments.seconds).scaled(total[name] / 1e3) for name in ("bare", arguments.subject)
    )
    print(
        f"thousands of instructions: {', '.join(f'{name} {each / 1e3:.0f}' for name, each in total.items())}"
    )
    print(f"{'inside':>8} {'own':>8} {'bare':>8}")
    for name, inside in islice(sorted(found.inside.items(), key=lambda item: -item[1]), SHOWN):
        print(f"{inside:8.1f} {found.own.get(name, 0):8.1f} {bare.inside.get(name, 0):8.1f}  {name}")
    return 0


@dataclass(slots=True)
class Profile:
    """Samples, or instructions, by function: ``inside`` it and what it calls, and its ``own``."""

    inside: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    samples: float = 0

    def scaled(self, total: float) -> "Profile":
        """Return the profile with ``total`` in the place of the number of samples."""
        part = total / self.samples if self.samples else 0
        return Profile(
            {name: value * part for name, value in self.inside.items()},
            {name: value * part for name, value in self.own.items()},
            total,
        )


def profile(name: str, seconds: int) -> Profile:
    """Return a profile of a subject that does nothing but answer."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        spy: list[str | Path] = [peers.folder(PROFILER) / "bin" / "py-spy", "record", "--format", "raw"]
        spy += ["--function", "--rate", str(RATE), "--duration", str(seconds), "--output", raw, "--"]
        program = [sys.executable, str(Path(__file__).resolve()), "--spin"]
        done = subprocess.run(
            [*spy, *program, "--subject", name, "--seconds", str(seconds)],
            check=False,
            capture_output=True,
            text=True,
            env=peers.environment(name),
        )
        if not raw.exists():
            raise RuntimeError(f"no profile of {name}:\n{done.stderr[-2000:]}")
        return read(raw.read_text(encoding="utf-8").splitlines())


def read(lines: Iterable[str]) -> Profile:
    """Read py-spy's raw format: ``outer;inner;innermost 17``. What is outside of a request is left out."""
    inside: Counter[str] = Counter()
    own: Counter[str] = Counter()
    samples = 0
    for line in lines:
        stack, _, number = line.rpartition(" ")
        frames = [frame.strip() for frame in stack.split(";")]
        first = next((at for at, frame in enumerate(frames) if _REQUEST in frame), None)
        if first is None:
            continue
        samples += int(number)
        own[frames[-1]] += int(number)
        for frame in set(frames[first:]):
            inside[frame] += int(number)
    return Profile(inside, own, samples)


async def spin(name: str, seconds: float) -> None:
    """Answer requests for some seconds."""
    silence()
    async with Running(SUBJECTS[name]()) as running:
        gc.collect()
        gc.freeze()
        until = perf_counter() + seconds
        for number in count():
            await running.answer(scope_of(hello_path(number)))
            if perf_counter() > until:
                break


if __name__ == "__main__":
    sys.exit(main())
