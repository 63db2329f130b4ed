"""Events as structlog's own ``capture_logs`` gives them, in whatever order tests run in one process.

structlog's function changes the processors that are configured now. A logger that was first used under
another configuration holds that one's list, so both are changed here. Such a logger also asks the standard
library for its level, which is WARNING where no test has configured it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict

from chassis.logging.loggers import PROCESSORS


@contextmanager
def capture_logs() -> Iterator[list[EventDict]]:
    """Catch the events that are logged inside the block, before they become lines."""
    capture = LogCapture()
    configured = structlog.get_config()["processors"]
    chains = [configured] if configured is PROCESSORS else [configured, PROCESSORS]
    before = [list(chain) for chain in chains]
    for chain in chains:
        chain[:] = [capture]
    chassis = logging.getLogger("chassis")
    level = chassis.level
    chassis.setLevel(logging.DEBUG)
    try:
        structlog.configure(processors=configured)
        yield capture.entries
    finally:
        chassis.setLevel(level)
        for chain, processors in zip(chains, before, strict=True):
            chain[:] = processors
        # Unless the block has configured logging: its loggers need the processors that belong to them.
        if structlog.get_config()["processors"] is configured:
            structlog.configure(processors=configured)
