"""Standard output belongs to the answer of a command; what the service says meanwhile does not."""

import contextlib
import sys
from collections.abc import Iterator

from chassis.logging import flush_logs

__all__ = ["aside"]


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Send what is printed or logged in the block to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            # A line that waits in the buffer would follow the answer, where a program reads JSON.
            flush_logs()
