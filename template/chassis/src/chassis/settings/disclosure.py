"""What of a value may be shown: URLs without their passwords, text that cannot move a terminal's cursor."""

import re
from collections.abc import Mapping
from enum import Enum

from pydantic_core import MultiHostUrl, Url, to_json

from chassis.pattern import pattern

__all__ = ["disclosed", "masked_urls", "rendered", "url_credentials"]

# The password reaches to the last "@" of the word: an unescaped "/" or "@" in it must not show the rest.
_CREDENTIALS = pattern(
    r"(?P<start>[a-z][a-z0-9+.-]{0,30}://(?P<user>[^\s:/?#]*):)(?P<password>\S*)@", re.IGNORECASE
)
# Also where the scheme was forgotten: at the start of a word, behind "//", or of a text inside JSON.
_BARE_CREDENTIALS = pattern(
    r"(?P<start>(?:(?<!\S)|(?<=[\[{,:]\")|//)(?!mailto:)[^\s:/?#\"]*:)(?!//)\S+@", re.IGNORECASE
)
_QUERY = pattern(
    r"(?P<start>[?&;][^\s=&;]{0,60}(?:passw|pwd|secret|token|key|credential)[^\s=&;]*=)[^\s&;]+",
    re.IGNORECASE,
)


def masked_urls(text: str) -> str:
    """Mask the password, and the query parameters named like a secret, of each URL in the text.

    ``user:password@host`` counts as a URL whose scheme was forgotten.
    """
    text = _BARE_CREDENTIALS.sub(r"\g<start>***@", _CREDENTIALS.sub(r"\g<start>***@", text))
    return _QUERY.sub(r"\g<start>***", text)


def url_credentials(text: str) -> tuple[str, str] | None:
    """Return the user and the password of the URL, or None when the text is no URL with a password."""
    found = _CREDENTIALS.match(text)
    return (found["user"], found["password"]) if found and found["password"] else None


def disclosed(value: object) -> object:
    """Return what a ``repr`` may hold. Pydantic's secret types mask themselves."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return masked_urls(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [disclosed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: disclosed(item) for key, item in value.items()}
    text = str(value) if _is_url(value) else None
    return value if text is None else masked_urls(text)


def rendered(value: object) -> str:
    """Return the value as one printable line, the way it would be written in a variable."""
    if value is None:
        return "null"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool | list | tuple | set | frozenset | Mapping):
        text = to_json(value, fallback=str).decode()
    else:
        text = str(value)
    text = masked_urls(text)
    return text if text.isprintable() else ascii(text)


def _is_url(value: object) -> bool:
    # Both pydantic's own URL classes and those of pydantic-core name the parts of a URL.
    return isinstance(value, Url | MultiHostUrl) or (
        hasattr(value, "unicode_string") and hasattr(value, "scheme")
    )
