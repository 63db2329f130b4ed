"""Exit codes of a service."""

from typing import Final

__all__ = ["CONFIG", "FAILED", "FORCED", "OK"]

OK: Final = 0
"""Stopped as asked, after a drain. A signal that was obeyed is no failure."""
FAILED: Final = 1
"""Could not start, or did not stop in time."""
CONFIG: Final = 78
"""The settings are wrong: ``EX_CONFIG`` of sysexits.h. To start again cannot help."""
FORCED: Final = 130
"""Stopped at once by a second Ctrl-C: 128 + SIGINT, as shells say it."""
