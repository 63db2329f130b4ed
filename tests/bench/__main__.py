"""All measurements in one table: ``python tests/bench``, which is ``make bench``.

``--only instructions`` runs some of them. ``--check`` runs the gates and fails when one is not passed.
``--history`` adds the run to history.jsonl; a complete run renews the numbers and the picture of the docs.
Every run leaves build/bench.json. Each measurement is a script of its own, too.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import copying
import in_process
import instructions
import limiter
import loading
import masking
import record
import scrape
import sockets
import spans
import start
from figures import Figure

MEASUREMENTS: Mapping[str, Callable[[], Sequence[Figure]]] = {
    "instructions": instructions.measure,
    "imports": start.imports,
    "in-process": in_process.measure,
    "sockets": sockets.measure,
    "masking": masking.measure,
    "limiter": limiter.measure,
    "export": spans.measure,
    "scrape": scrape.measure,
    "settings": loading.measure,
    "start": start.measure,
    "copier": copying.measure,
}
CHECKED: Mapping[str, Callable[[], Sequence[Figure]]] = {
    "instructions": lambda: instructions.measure(instructions.GATED),
    "imports": start.imports,
}


def main() -> int:
    """Measure, print, keep. Returns 1 if something could not be measured or a gate is not passed."""
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="may be given several times")
    parser.add_argument("--check", action="store_true", help="the gates alone; fail if one is not passed")
    parser.add_argument("--history", action="store_true", help="keep the run, renew the documentation")
    arguments = parser.parse_args()
    known = CHECKED if arguments.check else MEASUREMENTS
    names = [name for name in arguments.only or known if name in known]
    figures, failed = run({name: known[name] for name in names})
    record.write(figures)
    if arguments.history:
        record.keep(figures, complete=set(names) == set(MEASUREMENTS) and not failed)
    over = [figure for figure in figures if figure.gates and not figure.within]
    for figure in over if arguments.check else ():
        print(f"over budget: {figure.measure}, {figure.subject}: {figure.value:.3f} > {figure.budget}")
    return 1 if failed or (arguments.check and over) else 0


def run(measurements: Mapping[str, Callable[[], Sequence[Figure]]]) -> tuple[list[Figure], bool]:
    """Run measurements one after the other; returns what they found, and whether one failed."""
    figures: list[Figure] = []
    failed = False
    for name, measure in measurements.items():
        try:
            found = measure()
        except (OSError, RuntimeError) as error:
            print(f"{name}: {error}", flush=True)
            failed = True
            continue
        for figure in found:
            print(figure.line(), flush=True)
        figures += found
    print("* repeatable: the gates of `make bench CHECK=1`. The middle is a median, the range its quartiles.")
    return figures, failed


if __name__ == "__main__":
    sys.exit(main())
