"""Texts that go to clients: one line, of bounded length, with nothing that could forge another line."""

from typing import Final

from chassis.pattern import pattern

__all__ = ["LARGEST_TEXT", "header_bytes", "safe_text"]

LARGEST_TEXT: Final = 1_000
"""Characters of a title, detail or message that are sent; the rest is cut off."""

# C0, C1, the line separators, the direction overrides and lone surrogates.
_UNSAFE: Final = pattern("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROLS: Final = pattern(r"[\x00-\x1f\x7f]+")


def safe_text(value: object) -> str:
    """Return the text of a value, cut to ``LARGEST_TEXT``; each unsafe character becomes U+FFFD."""
    text = str(value)
    cut = text if len(text) <= LARGEST_TEXT else text[: LARGEST_TEXT - 1] + "…"
    return _UNSAFE.sub("\ufffd", cut)


def header_bytes(value: str) -> bytes:
    """Return the bytes of a header's name or value; control characters become spaces."""
    return _CONTROLS.sub(" ", value).encode("latin-1", "replace")
