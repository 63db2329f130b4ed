"""Rendering many metrics, and what the event loop feels of it: ``python tests/bench/scrape.py``."""

import asyncio
import sys
from time import perf_counter

import budgets
from chassis.metrics import Metrics, MetricsSettings
from figures import Figure
from timing import microseconds

SERIES = 5000


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure 5,000 series: those of the requests to a few hundred routes."""
    metrics = Metrics(MetricsSettings(max_routes=10_000), service="bench", version="1")
    routes = 0
    while _series(metrics) < SERIES:
        for _ in range(20):
            metrics.requests.started()
            metrics.requests.finished("GET", f"/things{routes}/{{thing_id}}", 200, 0.012)
            routes += 1
    found = microseconds(lambda: metrics.render(None))
    return [
        Figure(
            measure="scrape, 5,000 series",
            subject="chassis",
            value=found.middle / 1e3,
            unit="ms",
            low=found.low / 1e3,
            high=found.high / 1e3,
            budget=budgets.SCRAPE_MS,
            absolute=f"{_series(metrics):,} series of {routes} routes",
        ),
        Figure(
            measure="scrape, longest stall",
            subject="chassis",
            value=asyncio.run(_longest_stall(metrics)) * 1e3,
            unit="ms",
            absolute="of the event loop, while a thread renders",
        ),
    ]


def _series(metrics: Metrics) -> int:
    body, _ = metrics.render(None)
    return sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))


async def _longest_stall(metrics: Metrics) -> float:
    rendering = asyncio.create_task(asyncio.to_thread(metrics.render, None))
    longest, last = 0.0, perf_counter()
    while not rendering.done():
        await asyncio.sleep(0)
        now = perf_counter()
        longest, last = max(longest, now - last), now
    return longest


if __name__ == "__main__":
    sys.exit(main())
