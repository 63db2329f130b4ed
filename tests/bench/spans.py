"""What the exporting thread does for one span: ``python tests/bench/spans.py``."""

import sys

import budgets
from chassis.tracing import Tracing, TracingSettings
from chassis.tracing.request import RequestSpan
from figures import Figure
from timing import microseconds

BATCH = 128
_HEADERS = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench/1.0")]


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure a full batch, from the objects that requests leave behind to the bytes that are sent."""
    settings = TracingSettings(enabled=True, batch_size=BATCH)
    tracing = Tracing(settings, service="bench", version="1", environment="production")
    if tracing.provider is None:
        raise RuntimeError("tracing is off")
    encode = tracing.provider.queue.encode
    finished = [_span(tracing, number) for number in range(BATCH)]
    # The rests between slices are no processor time, and that is what is measured.
    found = microseconds(lambda: encode(finished))
    return [
        Figure(
            measure="export, one span",
            subject=f"batches of {BATCH}",
            value=found.middle / BATCH,
            unit="us",
            low=found.low / BATCH,
            high=found.high / BATCH,
            budget=budgets.EXPORT_US,
        )
    ]


def _span(tracing: Tracing, number: int) -> RequestSpan:
    span = tracing.start_request("GET", f"/items/{number}", _HEADERS, client="203.0.113.7")
    span.detach()
    # Ended by hand: `end` would hand it to the queue, whose thread would send it somewhere.
    span.route, span.status_code = "/items/{item_id}", 200
    span.end_time = span.start_time + 1_000_000
    return span


if __name__ == "__main__":
    sys.exit(main())
