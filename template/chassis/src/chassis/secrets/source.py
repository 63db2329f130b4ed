"""The protocol of a secret source."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol

__all__ = ["SecretSource", "SecretSourceError", "as_text", "optional_module"]


class SecretSourceError(Exception):
    """A source cannot be read. The message is for people and never holds a secret."""


class SecretSource(Protocol):
    """Something that knows values by variable name."""

    def fetch(self) -> Mapping[str, str]:
        """Return what the source holds. The mapping may read a value when it is asked for.

        Both raise ``SecretSourceError``.
        """
        ...


def optional_module(name: str, extra: str) -> ModuleType:
    """Import a module that an extra brings; raises ``SecretSourceError`` naming the extra."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SecretSourceError(f"{name} is not installed: add the extra vendored-chassis[{extra}]") from None


def as_text(document: object, origin: str) -> dict[str, str]:
    """Return the entries of a JSON object as the texts a variable would hold; null counts as absent.

    Raises ``SecretSourceError``, naming the origin, when the document is no object.
    """
    import json

    if not isinstance(document, dict):
        raise SecretSourceError(f"{origin} must hold a JSON object of variables")
    return {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in document.items()
        if value is not None
    }
