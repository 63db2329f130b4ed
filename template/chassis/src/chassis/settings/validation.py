"""Pydantic's validation errors told as mistakes: the variable to set, the bad value if it is no secret."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chassis.masking import is_sensitive_key
from chassis.settings.catalog import Catalog, Leaf, Path
from chassis.settings.disclosure import rendered
from chassis.settings.layers import Found, Layer
from chassis.settings.mistakes import Mistake

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["mistakes_of", "shown"]

LONGEST_SHOWN = 80


def mistakes_of(
    error: ValidationError, catalog: Catalog, found: Layer, empty: Mapping[Path, str]
) -> Iterable[Mistake]:
    """Yield one mistake for each wrong leaf or group, all that pydantic says of it in one sentence."""
    problems: dict[Path, list[ErrorDetails]] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        leaf, _ = catalog.leaf_at(problem["loc"])
        place = leaf.path if leaf else tuple(str(part) for part in problem["loc"])
        problems.setdefault(place, []).append(problem)
    for path, details in problems.items():
        leaf = catalog.by_path.get(path)
        if leaf is None:
            group = catalog.group_paths.get(path)
            name = f"{group.prefix}*" if group else ".".join(path) or "settings"
            yield Mistake(name, _joined(_words(detail["msg"]) for detail in details))
        elif any(detail["type"] == "missing" for detail in details):
            yield _missing(leaf, empty.get(path))
        else:
            yield _wrong(leaf, details, found.get(path))


def shown(leaf: Leaf, value: object) -> str:
    """Return the value as one line; of a secret, or of text named like one, nothing."""
    if value is None:
        return rendered(value)
    if leaf.secret or (isinstance(value, str) and is_sensitive_key(leaf.path[-1])):
        return "***"
    return rendered(_screened(value))


def _screened(value: object) -> object:
    if isinstance(value, Mapping):
        return {
            name: "***" if is_sensitive_key(str(name)) and item is not None else _screened(item)
            for name, item in value.items()
        }
    return [_screened(item) for item in value] if isinstance(value, list | tuple) else value


def _missing(leaf: Leaf, empty: str | None) -> Mistake:
    if empty is not None:
        return Mistake(leaf.variable, "is required, and empty counts as not set", empty)
    where = "the environment, .env or a secret file"
    other = "" if leaf.secret else f", or {leaf.dotted} in config/service.yaml"
    return Mistake(leaf.variable, f"is required: set it in {where}{other}")


def _wrong(leaf: Leaf, details: Iterable["ErrorDetails"], value: Found | None) -> Mistake:
    depth = len(leaf.path)
    problem = _joined(_words(detail["msg"]) + _place(detail["loc"][depth:]) for detail in details)
    if value is None:
        return Mistake(leaf.variable, problem, "default")
    raw = value.value
    if not value.text and not isinstance(raw, str) and "valid string" in problem:
        problem += ": put it in quotes"
    if leaf.secret or shown(leaf, raw) == "***":
        # The check of a field may quote what it refuses; only its own code knows.
        problem = "is refused by its own check" if _quotes(problem, raw) else problem
    else:
        text = shown(leaf, raw)
        problem += f", not {text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + '...'}"
    return Mistake(leaf.variable, problem, value.source)


def _quotes(problem: str, raw: object) -> bool:
    return any(part and part in problem for part in (str(raw), *re.findall(r"\w{4,}", str(raw))))


def _words(message: str) -> str:
    message = re.sub(r"^(Value error|Assertion failed), ", "", message)
    message = re.sub(r"^Input should be", "must be", message)
    message = re.sub(r"^Input should", "must", message)
    # That it is none was said already.
    message = re.sub(r", unable to (parse string as an? \w+|interpret input)$", "", message)
    return message[:1].lower() + message[1:]


def _place(rest: tuple[int | str, ...]) -> str:
    numbers = [part for part in rest if isinstance(part, int)]
    return f" (item {numbers[0] + 1})" if numbers else ""


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(parts))
