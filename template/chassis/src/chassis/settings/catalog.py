"""The mapping between variable names and the leaves of a settings class.

A leaf is a field that holds a value and no group: ``rate_limiting.requests``. It has one canonical variable
(``RATE_LIMIT_REQUESTS``) and one nested form (``RATE_LIMITING__REQUESTS``), and no other leaf has either.
"""

import typing
from collections.abc import Iterator, Sequence
from functools import cached_property

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from typing_inspection.introspection import is_union_origin

from chassis.settings.decoding import alternatives, is_optional
from chassis.settings.mistakes import Mistake, SettingsError
from chassis.settings.model import Group, Prefix, Settings, Variable

__all__ = ["Catalog", "GroupField", "Leaf", "Path"]

Path = tuple[str, ...]


class Leaf:
    """One value of the settings and the names it goes by."""

    def __init__(self, path: Path, variable: str, field: FieldInfo) -> None:
        self.path: typing.Final = path
        self.variable: typing.Final = variable
        self.field: typing.Final = field

    @property
    def dotted(self) -> str:
        """The place in YAML and in ``chassis config show``: ``logging.level``."""
        return ".".join(self.path)

    @property
    def nested(self) -> str:
        """The second name of the variable: ``LOGGING__LEVEL``."""
        return "__".join(self.path).upper()

    @property
    def optional(self) -> bool:
        """Whether the value may be None."""
        return is_optional(self.field.annotation)

    @cached_property
    def marks(self) -> list[object]:
        """What the field is annotated with, such as ``AnyStrength``."""
        return _marks(self.field)

    @cached_property
    def secret(self) -> bool:
        """Whether any part of the value is one of pydantic's secret types."""
        return any(
            isinstance(part, type) and issubclass(part, Secret | SecretStr | SecretBytes)
            for part in _parts(self.field.annotation)
        )


class GroupField:
    """A field that holds a group."""

    def __init__(self, path: Path, kind: type[Group], field: FieldInfo, prefix: str) -> None:
        self.path: typing.Final = path
        self.kind: typing.Final = kind
        self.field: typing.Final = field
        self.prefix: typing.Final = prefix

    @property
    def expected(self) -> bool:
        """Whether the group is there even when no value of it is set."""
        return self.field.is_required() or self.field.default_factory is self.kind


class Catalog:
    """All leaves and groups of a class, in the order of its fields; groups before what they hold."""

    def __init__(self, cls: type[Settings | Group], *, path: Path = (), prefix: str = "") -> None:
        self.cls = cls
        self.leaves: list[Leaf] = []
        self.groups: list[GroupField] = []
        self._collect(cls, path, prefix)

    @cached_property
    def by_path(self) -> dict[Path, Leaf]:
        """Each leaf by its path."""
        return {leaf.path: leaf for leaf in self.leaves}

    @cached_property
    def by_name(self) -> dict[str, Leaf]:
        """Each leaf by both of its names, which `refuse_ambiguity` holds apart."""
        names = {leaf.nested: leaf for leaf in self.leaves}
        return names | {leaf.variable: leaf for leaf in self.leaves}

    @cached_property
    def group_paths(self) -> dict[Path, GroupField]:
        """Each group by its path."""
        return {group.path: group for group in self.groups}

    def leaf_at(self, location: Sequence[str | int]) -> tuple[Leaf | None, tuple[str | int, ...]]:
        """Return the leaf that a location of pydantic's lies in, and the rest of the location."""
        for length in range(1, len(location) + 1):
            leaf = self.by_path.get(typing.cast("Path", tuple(location[:length])))
            if leaf is not None:
                return leaf, tuple(location[length:])
        return None, tuple(location)

    def refuse_ambiguity(self) -> None:
        """Raise ``SettingsError`` when one name would set two leaves."""
        owners: dict[str, list[Leaf]] = {}
        for leaf in self.leaves:
            for name in {leaf.variable, leaf.nested}:
                owners.setdefault(name, []).append(leaf)
        mistakes = [
            Mistake(
                name,
                f"is the variable of {' and of '.join(leaf.dotted for leaf in leaves)}: give all but one"
                " another name with Variable(...) on the field or Prefix(...) on its group",
            )
            for name, leaves in owners.items()
            if len(leaves) > 1
        ]
        if mistakes:
            raise SettingsError(mistakes)

    def _collect(self, cls: type[BaseModel], path: Path, prefix: str) -> None:
        for name, field in cls.model_fields.items():
            here = (*path, name)
            group = _group_of(field)
            if group is None:
                own = next((mark.name for mark in _marks(field) if isinstance(mark, Variable)), None)
                self.leaves.append(Leaf(here, own or f"{prefix}{name}".upper(), field))
                continue
            inherited = (
                group.variable_prefix if group.variable_prefix is not None else f"{prefix}{name}_".upper()
            )
            chosen = next((mark.prefix for mark in _marks(field) if isinstance(mark, Prefix)), inherited)
            self.groups.append(GroupField(here, group, field, chosen))
            self._collect(group, here, chosen)


def _group_of(field: FieldInfo) -> type[Group] | None:
    members = [member for member in alternatives(field.annotation) if member is not type(None)]
    if len(members) == 1 and isinstance(members[0], type) and issubclass(members[0], Group):
        return members[0]
    return None


def _marks(field: FieldInfo) -> list[object]:
    """Return the annotations of the field, those inside ``Annotated[...] | None`` included."""
    marks = list(field.metadata)
    pending = [field.annotation]
    while pending:
        member: object = pending.pop()
        if typing.get_origin(member) is typing.Annotated:
            marks.extend(typing.get_args(member)[1:])
        elif is_union_origin(typing.get_origin(member)):
            pending.extend(typing.get_args(member))
    return marks


def _parts(annotation: object) -> Iterator[object]:
    """Yield every type that the annotation is built of, those of nested models included."""
    pending, seen = [annotation], set()
    while pending:
        for member in alternatives(pending.pop()):
            # A parametrised secret, Secret[int], is a class of its own below the origin.
            yield typing.get_origin(member) or member
            pending.extend(argument for argument in typing.get_args(member) if argument is not member)
            if isinstance(member, type) and issubclass(member, BaseModel) and member not in seen:
                seen.add(member)
                pending.extend(field.annotation for field in member.model_fields.values())
