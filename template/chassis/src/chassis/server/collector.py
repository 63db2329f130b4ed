"""The garbage collector of a serving process: what a start leaves behind is no garbage.

Modules, routes and schemas live as long as the process. A full collection walks all of them and answers
nobody meanwhile: 61,000 objects, 9 to 15 ms, in a service without routes of its own. Frozen, they cost nothing.
Source: https://docs.python.org/3/library/gc.html#gc.freeze
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["freeze", "held"]


@contextmanager
def held() -> Iterator[None]:
    """Collect nothing meanwhile, and walk what there is by full collections only.

    It leaves a collector that is switched off as it is.
    """
    # An import makes many objects and next to no garbage: of 100,000 objects 800 were, and looking for them
    # took 32 of 340 ms.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Old from now on: as young as they are, the next collection would walk all of them, 28 million instructions.
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()


def freeze() -> None:
    """Keep what there is out of later collections; its garbage is collected before, unless the collector is held."""
    if gc.isenabled():
        gc.collect()  # of what came since the service was built and frozen: well below a millisecond
    gc.freeze()
