"""Regular expressions that are compiled when they are first used.

Python compiles in Python: the rules of masking alone were 45 of the 357 million instructions that the chassis
added to the import of FastAPI, and most services never meet a text that needs one of them.
"""

import re
from typing import Any, cast

__all__ = ["LazyPattern", "pattern"]


def pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """Return what stands for ``re.compile(source, flags)``.

    The first call of each method compiles or finds it compiled; from the second one on a method costs what
    that of a compiled pattern does. Thread-safe. An expression that is wrong raises ``re.error`` then.
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
