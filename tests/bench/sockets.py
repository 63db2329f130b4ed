"""Requests over sockets: ``python tests/bench/sockets.py [--rounds 7] [--seconds 2]``. Linux only.

All servers run at once and take turns under load; a ratio is made within a round. Measured is the processor
time of the server for one request, read from /proc: it counts what the server does in all its threads, and
neither the load generator nor waiting. The load generator is wrk, else a small one of our own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter

import budgets
from figures import Figure, percentile, ratios, spread
from servers import HERE, Server, collector, render, serving

ROUNDS, SECONDS, CONNECTIONS = 7, 2.0, 8
COMPARED = (
    "bare",
    "bare, access log",
    "usual",
    budgets.UNTRACED,
    budgets.ONE_PERCENT,
    budgets.EVERY_REQUEST,
)
PROBES = 3000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--subject", action="append", choices=COMPARED, help="default: all")
    arguments = parser.parse_args()
    names = ["bare", *(name for name in arguments.subject or COMPARED if name != "bare")]
    for figure in measure(names, rounds=arguments.rounds, seconds=arguments.seconds):
        print(figure.line())
    return 0


def measure(
    names: Sequence[str] = COMPARED, *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> list[Figure]:
    """Measure the servers against each other."""
    with all_serving(names) as servers:
        for server in servers.values():
            load(server, seconds / 2)
        found = [{name: load(server, seconds) for name, server in servers.items()} for _ in range(rounds)]
        probes = probe(servers[budgets.UNTRACED]) if budgets.UNTRACED in servers else []
    return [*_compared(names, found), *probes]


@contextmanager
def all_serving(names: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Run all servers until the block is left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service, spans = render(folder), stack.enter_context(collector())
        yield {name: stack.enter_context(serving(name, service, collector=spans)) for name in names}


def load(server: Server, seconds: float) -> dict[str, float]:
    """Keep a server busy; returns microseconds: its processor time for a request, percentiles of latency."""
    began = server.cpu_seconds()
    found = _wrk(server, seconds) if shutil.which("wrk") else _own(server, seconds)
    spent = server.cpu_seconds() - began
    if found["failed"] or not found["requests"]:
        raise RuntimeError(
            f"{found['failed']} of {found['requests']} requests failed: {server.process.args!r}"
        )
    return {"cpu": spent / found["requests"] * 1e6, "p50": found["p50"], "p99": found["p99"]}


def probe(server: Server) -> list[Figure]:
    """Return how long the liveness probe of an idle service takes, over one connection."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    seconds = []
    for _ in range(PROBES):
        began = perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        seconds.append(perf_counter() - began)
    connection.close()
    return [
        Figure(
            measure="health probe, p99",
            subject=budgets.UNTRACED,
            value=percentile(seconds, 0.99) * 1e3,
            unit="ms",
            budget=budgets.HEALTH_P99_MS,
            absolute=f"p50 {percentile(seconds, 0.5) * 1e3:.2f} ms",
        )
    ]


def _compared(names: Sequence[str], found: list[dict[str, dict[str, float]]]) -> Iterator[Figure]:
    rounds = {
        kind: [{name: one[name][kind] for name in names} for one in found] for kind in ("cpu", "p50", "p99")
    }
    for name in names:
        ratio = ratios(rounds["cpu"], name)
        yield Figure(
            measure="sockets, server CPU",
            subject=name,
            value=ratio.middle,
            unit="x bare",
            low=ratio.low,
            high=ratio.high,
            budget=budgets.SERVER_CPU.get(name),
            absolute=f"{spread([one[name] for one in rounds['cpu']]).middle:,.1f} us{_stretch(name)}",
        )
    if {budgets.UNTRACED, budgets.EVERY_REQUEST} <= set(names):
        ratio = ratios(rounds["p99"], budgets.EVERY_REQUEST, budgets.UNTRACED)
        yield Figure(
            measure="sockets, p99 of 100 % to none",
            subject=budgets.EVERY_REQUEST,
            value=ratio.middle,
            unit="x chassis",
            low=ratio.low,
            high=ratio.high,
            budget=budgets.P99_TRACED,
            absolute=f"{spread([one[budgets.EVERY_REQUEST] for one in rounds['p99']]).middle:,.0f} us",
        )


def _stretch(name: str) -> str:
    return f", stretch {budgets.SERVER_CPU_STRETCH:g}" if name == budgets.UNTRACED else ""


def _wrk(server: Server, seconds: float) -> dict[str, float]:
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(HERE / "load.lua")),
            f"http://127.0.0.1:{server.port}/",
        ],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _own(server: Server, seconds: float) -> dict[str, float]:
    command = [sys.executable, str(HERE / "load.py"), str(server.port), str(CONNECTIONS), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
