"""Masking of secrets and personal data in everything that is logged.

A sensitive field keeps its first two and last two characters (``va***ue``), a short one none (``***``).
Text is searched too: messages, values, exception texts and tracebacks.
"""

from functools import cache

from chassis.masking.hide import hide
from chassis.masking.masker import Masker

__all__ = ["Masker", "hide", "is_sensitive_key", "mask_text"]


def mask_text(value: str) -> str:
    """Mask a text by the default rules."""
    return _default().text(value)


def is_sensitive_key(key: str) -> bool:
    """Tell by the default rules whether a field of this name is masked."""
    return _default().is_sensitive_key(key)


@cache
def _default() -> Masker:
    return Masker()
