"""Regular expressions that are compiled when they are first used.

Python compiles in Python: 55 of the 357 million instructions that the chassis added to the import of FastAPI
went into patterns, most of them rules of masking, which wait for a text that shows their sign.
"""

import re
from typing import Any, cast

__all__ = ["LazyPattern", "pattern"]


def pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """Return what stands for ``re.compile(source, flags)``.

    The first call of each method compiles, or finds what was compiled; later ones cost 30 ns more than those of
    a compiled pattern. Thread-safe. A wrong expression raises ``re.error`` at its first call.
    """
    return cast("re.Pattern[str]", LazyPattern(source, flags))


class LazyPattern:
    """Asked for a method only while it has none: afterwards that of the compiled pattern is its own."""

    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Two threads may both come here. Either stores a method of the same pattern: re keeps the last 512.
        found = getattr(re.compile(self._source, self._flags), name)
        self.__dict__[name] = found
        return found
