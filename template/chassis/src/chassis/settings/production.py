"""What production refuses: weak secrets, and whatever a group's ``production_mistakes`` names."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, cast
from urllib.parse import unquote

from pydantic import Field, Secret, SecretBytes, SecretStr, ValidationError, create_model

from chassis.pattern import pattern
from chassis.settings.catalog import Catalog, GroupField, Leaf, Path
from chassis.settings.disclosure import url_credentials
from chassis.settings.mistakes import Mistake
from chassis.settings.model import AnyStrength, Group, Settings

__all__ = ["production_mistakes", "weak_secret"]

MINIMUM_LENGTH = 16
MINIMUM_DISTINCT = 5

_DEFAULTS = frozenset(
    """
    admin administrator changeit changeme default demo dev development example guest hunter letmein local
    minioadmin none pass passwd password postgres qwerty redis root secret test testing todo token user
    welcome
    """.split()  # noqa: SIM905 - a word list reads better as text
)
# Long enough that random text never holds one.
_PLACEHOLDERS = pattern(
    "changeme|changethis|replaceme|replacethis|insecure|password|placeholder|secretkey|yoursecret|yourtoken"
    "|yourapikey|supersecret|examplekey|notsecret|donotuse"
)


def weak_secret(value: str) -> str | None:
    """Return why the secret is too weak for production, in words that continue a sentence, or None.

    Refused: well-known defaults and placeholders, fewer than 16 characters, too little variety, sequences.
    Of a URL the password alone is judged, and only for being well known: its length is the server's affair.
    """
    if "://" in value:
        credentials = url_credentials(value)
        return None if credentials is None else _weak_password(*credentials)
    reasons = {
        "is a well-known default": _is_default(value),
        "is a placeholder": _PLACEHOLDERS.search(_letters_and_digits(value)) is not None,
        f"has fewer than {MINIMUM_LENGTH} characters": len(value) < MINIMUM_LENGTH,
        "repeats itself": len(set(value)) < MINIMUM_DISTINCT or value in (value + value)[1:-1],
        "is a sequence": _steps_of_one(value) * 4 >= len(value) * 3,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def production_mistakes(
    settings: Settings | type[Settings], catalog: Catalog, data: Mapping[str, Any]
) -> list[Mistake]:
    """Judge the settings or, when they could not be built, what can be built of their class and the data."""
    if isinstance(settings, Settings):
        instances = _walk(settings, catalog, (), complete=True)
    else:
        instances = _instances(settings, catalog, (), data)
    mistakes: list[Mistake] = []
    for path, instance, complete in instances:
        # A check may stumble over a value that is wrong or missing, which reads None: it is asked again
        # once that is corrected, and must not hide the mistakes found so far.
        with contextlib.nullcontext() if complete else contextlib.suppress(Exception):
            mistakes.extend(instance.production_mistakes())
        mistakes.extend(
            Mistake(leaf.variable, f"must not go to production: its value {weakness}")
            for leaf in catalog.leaves
            if leaf.path[:-1] == path and (weakness := _weakness(leaf, getattr(instance, leaf.path[-1])))
        )
    return mistakes


def _weak_password(user: str, password: str) -> str | None:
    plain = unquote(password)
    if _is_default(plain) or _PLACEHOLDERS.search(_letters_and_digits(plain)):
        return "holds a well-known password"
    return "holds a password that equals its user" if plain == unquote(user) else None


def _is_default(value: str) -> bool:
    return _letters_and_digits(value).strip("0123456789") in _DEFAULTS


def _letters_and_digits(value: str) -> str:
    return re.sub(r"[^a-z0-9]", "", value.casefold())


def _steps_of_one(value: str) -> int:
    return sum(abs(ord(before) - ord(after)) == 1 for before, after in pairwise(value))


def _weakness(leaf: Leaf, value: object) -> str | None:
    if any(isinstance(mark, AnyStrength) for mark in leaf.marks):
        return None
    if not leaf.secret:
        return weak_secret(text) if url_credentials(text := str(value)) else None
    return next(filter(None, map(weak_secret, _revealed(value))), None)


def _revealed(value: object) -> Iterator[str]:
    """Yield the texts of all secrets in the value; numbers have no strength to judge."""
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _revealed(item)
    elif isinstance(value, Mapping):
        yield from _revealed(list(value.values()))
    elif isinstance(value, Secret | SecretStr | SecretBytes):
        secret = value.get_secret_value()
        if isinstance(secret, str | bytes):
            yield secret if isinstance(secret, str) else secret.decode("latin-1")


def _instances(
    cls: type[Settings | Group], catalog: Catalog, path: Path, data: Mapping[str, Any]
) -> Iterator[tuple[Path, Settings | Group, bool]]:
    """Yield the settings and each group of them, built as far as the values allow."""
    complete, instance = _built(cls, data)
    if instance is not None:
        yield from _walk(instance, catalog, path, complete)
    for group in _groups_of(catalog, path):
        name = group.path[-1]
        if name in data and not isinstance(getattr(instance, name, None), Group):
            yield from _instances(group.kind, catalog, group.path, data[name])


def _walk(
    instance: Settings | Group, catalog: Catalog, path: Path, complete: bool
) -> Iterator[tuple[Path, Settings | Group, bool]]:
    yield path, instance, complete
    for group in _groups_of(catalog, path):
        value = getattr(instance, group.path[-1])
        if isinstance(value, Group):
            yield from _walk(value, catalog, group.path, complete=True)


def _groups_of(catalog: Catalog, path: Path) -> list[GroupField]:
    return [group for group in catalog.groups if group.path[:-1] == path]


def _built(cls: type[Settings | Group], data: Mapping[str, Any]) -> tuple[bool, Settings | Group | None]:
    """Return an instance in which fields that are wrong or missing read None, or no instance."""
    try:
        return True, cls(**data)
    except ValidationError as error:
        broken = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    absent: dict[str, Any] = {name: (Any, Field(None, validate_default=False)) for name in broken}
    lenient = cast("type[Settings | Group]", create_model(cls.__name__, __base__=cls, **absent))
    # Validators of the class may stumble over the None as well.
    with contextlib.suppress(Exception):
        return False, lenient(**{name: value for name, value in data.items() if name not in broken})
    return False, None
