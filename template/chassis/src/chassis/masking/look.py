"""The quick look: a proof that a text is clean, and the signs that tell which rules a suspicious one needs.

Every rule matches only where some short sign stands: a mark such as ``@`` or ``=``, a word such as ``bearer``,
digits in groups, or a run of at least 13 of the characters that tokens are made of. A table of bytes makes
each kind of sign one fixed string, for which Python looks many times faster than for a pattern.

No sign holds ``*``, and what a rule leaves of a secret stands between ``***`` and the text around it: so
masking brings no sign that was not there before, and the signs of the first text do for all rules.
"""

import re
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

_LATIN = 256
_MARKS = "@%+=:>,"


def _table(*places: tuple[str, str], rest: str | None) -> bytes:
    table = bytearray(range(_LATIN) if rest is None else rest.encode() * _LATIN)
    for characters, signs in places:
        for number, character in enumerate(characters):
            table[ord(character)] = ord(signs[number % len(signs)])
    return bytes(table)


_SHAPE = _table((ascii_letters + digits + "-_.", "a"), (" ", " "), (_MARKS, "!"), rest="|")
_LETTERS = _table((ascii_uppercase, ascii_lowercase), (digits, "0"), (" -./\u00a0", " "), rest=None)
_RUN = "a" * 13
_GROUPS = "aaaa aaaa aaaa aaa"
_SHORTEST = len("basic xxxx")
# The ids of requests, traces and spans. One word of 32 signs is too long for a card and no country's IBAN; of
# 16 it may be a card if it begins with 13 digits, and a Belgian IBAN.
_LONGEST_ID = 32
_IDS = re.compile("[0-9a-f]{32}|(?![0-9]{13}|be)[0-9a-f]{16}")

GROUPED_DIGITS = "00 0000"
"""In the letters of every social security number, North American phone number and most grouped cards."""
BARE_DIGITS = "0" * 13
"""In the letters of every card without separators."""
ADDRESS = "0 0"
"""In the letters of every IPv4 address."""


def letters_of(text: str) -> str:
    """Return the text in lower case, with 0 for every digit and a space for ``-``, ``.`` and ``/``.

    What Latin-1 does not have is a question mark: it is part of no sign.
    """
    return text.encode("latin-1", "replace").translate(_LETTERS).decode("latin-1")


def has_run(text: str) -> bool:
    """Tell whether 13 characters of tokens stand together, or groups of four as in an IBAN.

    It is so for every IBAN and for every token whose value has no slash.
    """
    shape = text.encode("latin-1", "replace").translate(_SHAPE).decode("latin-1")
    return _RUN in shape or _GROUPS in shape


def is_clean(text: str, *, addresses: bool) -> bool:
    """Return True only for a text that no rule changes; ``addresses``: IP addresses are masked too."""
    characters = text.encode("latin-1", "replace")
    shape = characters.translate(_SHAPE).decode("latin-1")
    # The one-character looks are the cheapest by far (30 ns), so they stand before the others.
    if "!" in shape or ("-" in text and "--" in text):
        return False
    if len(text) < _SHORTEST and not addresses:
        return True  # without a mark nothing that is masked is as short
    if _RUN in shape:
        return len(text) <= _LONGEST_ID and _IDS.fullmatch(text) is not None
    return _is_clean_without_marks(characters, shape, addresses=addresses)


def _is_clean_without_marks(characters: bytes, shape: str, *, addresses: bool) -> bool:
    letters = characters.translate(_LETTERS).decode("latin-1")
    if "0" in letters and (
        GROUPED_DIGITS in letters or _GROUPS in shape or (addresses and ADDRESS in letters)
    ):
        return False
    # Their values may have slashes, which end a run.
    if "_" in letters and ("whsec_" in letters or "glc_" in letters or "sntry" in letters):
        return False
    if "b" in letters and ("bearer" in letters or "basic" in letters):
        return False
    return "discord" not in letters
