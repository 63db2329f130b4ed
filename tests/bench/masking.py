"""Masking of one event: ``python tests/bench/masking.py``."""

import sys
from collections.abc import Callable

import budgets
from chassis.masking import Masker
from figures import Figure
from timing import microseconds

CLEAN: dict[str, object] = {
    "method": "GET",
    "route": "/orders/{order_id}/lines",
    "path": "/orders/4711/lines",
    "status": 200,
    "duration_ms": 12.345,
    "client": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
    "customer": "northwind",
    "lines": 17,
    "cached": False,
    "warehouse": "Hamburg",
    "carrier": None,
    "weight_kg": 3.25,
    "note": "packed and handed over to the carrier",
    "queue": "shipping",
    "attempt": 1,
}
DIRTY: dict[str, object] = {
    **CLEAN,
    "note": "mail jane.doe@example.com, card 4111 1111 1111 1111",
    "url": "postgresql://shop:hunter2@db.internal/orders",
    "authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
    "password": "correct horse battery staple",
}
for _name in ("attempt", "queue", "carrier"):
    del DIRTY[_name]


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure an event of 16 fields without anything to mask, and one with five secrets in four of them."""
    masker = Masker()
    if masker.event(CLEAN) != CLEAN or "hunter2" in str(masker.event(DIRTY)):
        raise RuntimeError("the events are not what they are named")
    forgetful = Masker()

    def mask_new() -> None:
        forgetful._clean.clear()  # as if no text of the event had been seen before
        forgetful.event(CLEAN)

    return [
        _figure("clean", lambda: masker.event(CLEAN), budgets.MASK_CLEAN_US),
        _figure("clean, all texts new", mask_new, None),
        _figure("dirty", lambda: masker.event(DIRTY), budgets.MASK_DIRTY_US),
    ]


def _figure(name: str, mask: Callable[[], object], budget: float | None) -> Figure:
    found = microseconds(mask)
    return Figure(
        measure="masking, 16 fields",
        subject=name,
        value=found.middle,
        unit="us",
        low=found.low,
        high=found.high,
        budget=budget,
    )


if __name__ == "__main__":
    sys.exit(main())
