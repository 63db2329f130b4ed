"""Where each value of settings came from."""

from collections.abc import Iterator
from typing import NamedTuple

from chassis.settings.catalog import Catalog, Path
from chassis.settings.model import Group, Settings
from chassis.settings.validation import shown

__all__ = ["Origin", "provenance"]


class Origin(NamedTuple):
    """One value: its place, its variable, what may be shown of it, and its source."""

    path: str
    variable: str
    value: str
    source: str


def provenance(settings: Settings) -> list[Origin]:
    """Return the origin of each value, in the order of the settings class. Secrets read ``***``."""
    return list(_origins(settings))


def _origins(settings: Settings) -> Iterator[Origin]:
    catalog = Catalog(type(settings))
    for group in catalog.groups:
        holder = _at(settings, group.path[:-1])
        if holder is not None and getattr(holder, group.path[-1]) is None:
            source = _source(settings, holder, group.path)
            yield Origin(".".join(group.path), f"{group.prefix}*", "null", source)
    for leaf in catalog.leaves:
        holder = _at(settings, leaf.path[:-1])
        if holder is not None:
            value = getattr(holder, leaf.path[-1])
            yield Origin(leaf.dotted, leaf.variable, shown(leaf, value), _source(settings, holder, leaf.path))


def _at(settings: Settings, path: Path) -> Settings | Group | None:
    holder: Settings | Group | None = settings
    for name in path:
        holder = None if holder is None else getattr(holder, name)
    return holder


def _source(settings: Settings, holder: Settings | Group, path: Path) -> str:
    loading = settings.loading
    if path in loading.sources:
        return loading.sources[path]
    given = not loading.loaded and path[-1] in holder.model_fields_set
    return "init argument" if given else "default"
