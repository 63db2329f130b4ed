"""Timing of one call, for the small measurements."""

import gc
from collections.abc import Callable
from time import process_time

from figures import Spread, spread

REPEATS = 9
SECONDS = 0.1


def microseconds(call: Callable[[], object]) -> Spread:
    """Return the processor time of one call: the middle of repeats of about 0.1 seconds each."""
    number = 1
    while (spent := _timed(call, number)) < SECONDS / 10:
        number *= 2
    number = max(1, int(number * SECONDS / spent))
    return spread([_timed(call, number) / number * 1e6 for _ in range(REPEATS)])


def _timed(call: Callable[[], object], number: int) -> float:
    gc.collect()
    began = process_time()
    for _ in range(number):
        call()
    return process_time() - began
