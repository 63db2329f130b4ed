"""Timing of one call, for the small measurements."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
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


def microseconds_of(call: Callable[[int], Awaitable[object]], number: int) -> Spread:
    """Return the processor time of one call of a coroutine function; it is called with 0, 1, 2 ..."""

    async def timed(first: int) -> float:
        began = process_time()
        for argument in range(first, first + number):
            await call(argument)
        return process_time() - began

    async def all_timed() -> list[float]:
        return [await timed(repeat * number) for repeat in range(REPEATS)]

    return spread([seconds / number * 1e6 for seconds in asyncio.run(all_timed())])


def _timed(call: Callable[[], object], number: int) -> float:
    gc.collect()
    began = process_time()
    for _ in range(number):
        call()
    return process_time() - began
