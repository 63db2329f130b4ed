"""The masker: one walk over an event's values and one ordered list of rules for every text in it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Final, cast
from uuid import UUID

from chassis.masking import assignments, look, numbers, tokens
from chassis.masking.hide import STARS, hide
from chassis.masking.keys import Keys, Secrecy
from chassis.pattern import pattern

LONGEST_TEXT: Final = 65_536
"""Characters of one text that are kept; what follows is cut off with a marker."""
DEEPEST: Final = 12
"""Levels of nested containers that are kept."""
MOST_ITEMS: Final = 1_000
"""Items of one container that are kept."""

_OVERLAP = 4_096
_LONGEST_NAME = 64
_MOST_NAMES = 4_096
_LONGEST_REMEMBERED = 256
_MOST_REMEMBERED = 2_048
_MOST_VALUES = 10_000
# RFC 5321 without quoted local parts, with internationalised ones (RFC 6531); %40 is @ in a URL.
_EMAIL = pattern(r"(?<![\w.%+*\-])(?P<local>[\w.%+\-]++)@(?P<domain>[\w\-]++(?:\.[\w\-]++)++)")
_ENCODED_EMAIL = pattern(r"(?<![\w.+*\-])(?P<local>[\w.+\-]++)%40(?P<domain>[\w\-]++(?:\.[\w\-]++)++)")
_FLAT = (str, bytes, bytearray, memoryview, range)
_SMALLEST_NUMBER_MASKED = 10**11
_MAX_INT_BITS = 4_096


class _Walk:
    """One walk over an event: the containers around the current value, how many values may follow."""

    __slots__ = ("around", "left")

    def __init__(self) -> None:
        self.around: set[int] = set()
        self.left = _MOST_VALUES


class Masker:
    """Masks secrets and personal data in log events: by the name of a field and by the form of a text.

    ``mask_ips`` masks IPv4 and IPv6 addresses too. ``sensitive_keys`` adds names to the built-in ones, in any
    spelling. Never raises; thread-safe. Results hold only text, numbers, booleans, None, dicts and lists.
    """

    def __init__(self, *, mask_ips: bool = False, sensitive_keys: Iterable[str] = ()) -> None:
        self._keys = Keys(sensitive_keys)
        self._mask_ips = mask_ips
        self._harmless: set[str] = set()
        self._clean: set[str] = set()

    def text(self, value: str) -> str:
        """Mask what is secret in a text; text longer than 65,536 characters is cut, with a marker."""
        if value in self._clean:
            return value
        if len(value) <= LONGEST_TEXT:
            if self.is_suspect(value):
                return self._present_rules(value)
            self._remember((value,), len(value))
            return value
        masked = self.all_rules(value[: LONGEST_TEXT + _OVERLAP])
        # A secret across the first cut stands whole in the overlap; one across the second is dropped here.
        return f"{masked[: max(0, len(masked) - _OVERLAP)]}... [{len(value) - LONGEST_TEXT} characters cut]"

    def is_suspect(self, text: str) -> bool:
        """Tell quickly whether a text may hold anything to mask; False is certain, True is not."""
        return not look.is_clean(text, addresses=self._mask_ips)

    def all_rules(self, text: str) -> str:
        """Apply every rule, without the quick look of ``is_suspect`` before."""
        text = tokens.mask_private_keys(text)
        text = assignments.mask_url_passwords(text)
        text = assignments.mask_assignments(text, self._keys)
        text = tokens.mask_tokens(text)
        text = _mask_emails(text)
        text = numbers.mask_numbers(text)
        return numbers.mask_addresses(text) if self._mask_ips else text

    def _present_rules(self, text: str) -> str:
        """Return what ``all_rules`` returns, applying those rules alone whose sign is in the text."""
        letters, run = look.letters_of(text), look.has_run(text)
        if tokens.PRIVATE_KEY in text:
            text = tokens.mask_private_keys(text)
        if "://" in text and "@" in text:
            text = assignments.mask_url_passwords(text)
        for sign in assignments.SIGNS:
            if sign in text:
                text = assignments.mask_assignments(text, self._keys)
                break
        text = tokens.mask_present_tokens(text, letters, run=run)
        if "@" in text:
            text = _EMAIL.sub(_email, text)
        if "%40" in text:
            text = _ENCODED_EMAIL.sub(_email, text)
        text = numbers.mask_present_numbers(text, letters, run=run)
        return numbers.mask_addresses(text) if self._mask_ips else text

    def value(self, key: str, value: object) -> object:
        """Mask the value of one field."""
        return self._field(key, value, _Walk())

    def event(self, event: Mapping[str, object]) -> dict[str, object]:
        """Mask all fields of an event, names included."""
        if self._is_clean(event):
            return dict(event)
        walk = _Walk()
        result: dict[str, object] = {}
        for key, value in event.items():
            if key not in self._harmless:
                result[self.text(key)] = self._field(key, value, walk)
            elif type(value) is str:
                result[key] = value if value in self._clean else self.text(value)
            else:
                result[key] = self._walk(value, walk)
        return result

    def is_sensitive_key(self, key: str) -> bool:
        """Tell whether text under this key is masked whatever it is."""
        return self._keys.secrecy(key) is not Secrecy.NONE

    def _is_clean(self, event: Mapping[str, object]) -> bool:
        """Tell quickly whether an event of plain values under harmless names holds nothing to mask."""
        if not self._harmless.issuperset(event):
            for key in event:
                if key not in self._harmless and not self._learn(key):
                    return False
        fresh = _new_texts(event.values(), self._clean)
        if not fresh:
            return fresh is not None
        # What makes one text suspect makes all together suspect: the look has no negative condition.
        text = "\n".join(fresh)
        if len(text) > LONGEST_TEXT or self.is_suspect(text):
            return False
        self._remember(fresh, len(text))
        return True

    def _remember(self, texts: Sequence[str], length: int) -> None:
        """Remember texts that are clean, for many come again: a method, a route, a client, a message."""
        if length <= _LONGEST_REMEMBERED:
            if len(self._clean) + len(texts) > _MOST_REMEMBERED:
                self._clean.clear()
            self._clean.update(texts)

    def _learn(self, key: str) -> bool:
        """Remember a name that is harmless and clean; at most 4096 of them, and no long ones."""
        if len(key) > _LONGEST_NAME or self._keys.secrecy(key) is not Secrecy.NONE or self.text(key) != key:
            return False
        if len(self._harmless) >= _MOST_NAMES:
            self._harmless.clear()
        self._harmless.add(key)
        return True

    def _field(self, key: str, value: object, walk: _Walk) -> object:
        secrecy = self._keys.secrecy(key)
        if value is None or secrecy is Secrecy.NONE:
            return self._walk(value, walk)
        if secrecy is Secrecy.TEXT and isinstance(value, (bool, int, float)):
            return value
        return _hide(value)

    def _walk(self, value: object, walk: _Walk) -> object:
        kind = type(value)
        if kind is str:
            return self.text(cast("str", value))
        if value is None or value is True or value is False:
            return value
        if kind is int or kind is float or (isinstance(value, (float, int)) and not isinstance(value, Enum)):
            return self._number(cast("float", value))
        if isinstance(value, (Mapping, Sequence, AbstractSet)) and not isinstance(value, _FLAT):
            return self._container(value, walk)
        return self.text(plain(value))

    def _number(self, value: float) -> object:
        if type(value) is int and -_SMALLEST_NUMBER_MASKED < value < _SMALLEST_NUMBER_MASKED:
            return value
        if isinstance(value, float):
            return float(value) if isfinite(value) else str(float(value))
        number = int(value)
        if abs(number) < _SMALLEST_NUMBER_MASKED:
            return number
        if number.bit_length() > _MAX_INT_BITS:
            return f"<int of {number.bit_length()} bits>"
        text = str(number)
        masked = self.text(text)
        return number if masked == text else masked

    def _container(
        self, value: Mapping[object, object] | Sequence[object] | AbstractSet[object], walk: _Walk
    ) -> object:
        if id(value) in walk.around:
            return "<circular>"
        if len(walk.around) >= DEEPEST:
            return "<nested too deep>"
        walk.around.add(id(value))
        try:
            return self._mapping(value, walk) if isinstance(value, Mapping) else self._items(value, walk)
        except Exception as error:  # noqa: BLE001  # a container of someone else's may raise anything
            return f"<{type(value).__name__} that raised {type(error).__name__}>"
        finally:
            walk.around.discard(id(value))

    def _mapping(self, value: Mapping[object, object], walk: _Walk) -> dict[str, object]:
        result: dict[str, object] = {}
        for count, (key, item) in enumerate(value.items()):
            if count >= MOST_ITEMS or walk.left <= 0:
                result["..."] = f"{len(value) - count} more"
                break
            walk.left -= 1
            name = plain(key)
            result[self.text(name)] = self._field(name, item, walk)
        return result

    def _items(self, value: Sequence[object] | AbstractSet[object], walk: _Walk) -> object:
        if (
            isinstance(value, Sequence)
            and len(value) == len(("name", "value"))
            and isinstance(value[0], (str, bytes))
        ):
            name = plain(value[0])
            if self._keys.secrecy(name) is Secrecy.ALL:
                return [self.text(name), self._field(name, value[1], walk)]
        if hasattr(value, "_asdict"):
            return self._mapping(
                value._asdict(), walk
            )  # a named tuple or a row: its names tell what is secret
        result: list[object] = []
        for count, item in enumerate(value):
            if count >= MOST_ITEMS or walk.left <= 0:
                result.append(f"... {len(value) - count} more")
                break
            walk.left -= 1
            result.append(self._walk(item, walk))
        return result


def _new_texts(values: Iterable[object], known: set[str]) -> list[str] | None:
    """Return the texts that are not known; None if a value needs more than a look at its text."""
    new: list[str] = []
    for value in values:
        kind = type(value)
        if kind is str:
            if value not in known:
                new.append(cast("str", value))
        elif kind is int:
            if not -_SMALLEST_NUMBER_MASKED < cast("int", value) < _SMALLEST_NUMBER_MASKED:
                return None
        elif kind is float:
            if not isfinite(cast("float", value)):
                return None
        elif value is not None and kind is not bool:
            return None
    return new


def plain(value: object) -> str:
    """Return a value as text: its own form for the usual types, else its repr; never raises."""
    try:
        if isinstance(value, Enum):
            return plain(value.value)
        if isinstance(value, (str, UUID, Decimal, PurePath)):
            return str(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value[: LONGEST_TEXT + _OVERLAP + 1]).decode("utf-8", "backslashreplace")
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        return repr(value)
    except Exception as error:  # noqa: BLE001  # a repr may raise anything; the log line is worth more
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _hide(value: object) -> str:
    if type(value) is str:
        return hide(value)
    if isinstance(value, (Mapping, Sequence, AbstractSet)) and not isinstance(value, (str, bytes, bytearray)):
        return STARS
    return hide(plain(value))


def _mask_emails(text: str) -> str:
    text = _EMAIL.sub(_email, text)
    return _ENCODED_EMAIL.sub(_email, text)


def _email(found: re.Match[str]) -> str:
    top = found["domain"].rpartition(".")[2]
    is_name = (len(top) >= 2 and top.isalpha()) or top.startswith("xn--")  # noqa: PLR2004  # no top level has one letter
    return hide(found[0]) if is_name and found["local"] != "git" else found[0]
