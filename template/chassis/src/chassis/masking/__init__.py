"""Masking of secrets and personal data in everything that is logged.

A sensitive field keeps its first two and last two characters (``va***ue``), a short one none (``***``).
Text is searched too: messages, values, exception texts and tracebacks.
"""

from functools import cache
from typing import ClassVar

from chassis.masking.hide import hide
from chassis.masking.masker import Masker

__all__ = ["Masker", "hide", "is_sensitive_key", "mask_text", "use_rules"]


def mask_text(value: str) -> str:
    """Mask a text by the rules of this process."""
    return (_Rules.now or _default()).text(value)


def is_sensitive_key(key: str) -> bool:
    """Tell by the rules of this process whether a field of this name is masked."""
    return (_Rules.now or _default()).is_sensitive_key(key)


def use_rules(masker: Masker | None) -> None:
    """Make these the rules of this process; None are the default ones. ``configure_logging`` calls it."""
    _Rules.now = masker


class _Rules:
    now: ClassVar[Masker | None] = None


@cache
def _default() -> Masker:
    return Masker()
