"""``load``: ask the sources in their order, validate once, report every mistake together."""

import os
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from chassis.settings.catalog import Catalog, GroupField, Path
from chassis.settings.decoding import decode
from chassis.settings.layers import Findings, Layer, Sources
from chassis.settings.mistakes import Mistake, SettingsError
from chassis.settings.model import Group, Loading, Settings
from chassis.settings.production import production_mistakes
from chassis.settings.validation import mistakes_of

__all__ = ["load"]

S = TypeVar("S", bound=Settings)

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def load(
    cls: type[S],
    *,
    environ: Mapping[str, str] | None = None,
    directory: FilePath | None = None,
    **init: object,
) -> S:
    """Read settings from all sources.

    ``environ`` is the environment (``os.environ``), ``directory`` the one that ``.env`` and a relative
    ``CONFIG_DIR`` are looked for in (the current one). Raises ``SettingsError`` with every mistake.
    """
    catalog = Catalog(cls)
    catalog.refuse_ambiguity()
    sources = Sources(catalog, os.environ if environ is None else environ, directory or FilePath.cwd())
    sources.check_directories()

    named = [
        sources.arguments(init),
        sources.environment(),
        sources.dotenv(),
        sources.secret_files(),
        sources.remote(),
    ]
    files = [sources.yaml("service.yaml"), sources.yaml("defaults.yaml")]
    environment = _environment(catalog, sources, [*named, *files])
    special = sources.yaml(f"service.{environment}.yaml") if _FILE_NAME.fullmatch(environment) else {}
    _refuse_other_environment(special, environment, sources.findings)
    found = _merged([*named, special, *files])

    return _validated(cls, catalog, found, sources.findings, production=environment == "production")


def _validated(cls: type[S], catalog: Catalog, found: Layer, findings: Findings, *, production: bool) -> S:
    mistakes = list(findings.mistakes)
    values = _decoded(catalog, found, mistakes)
    data = _nested(catalog, values)
    settings: S | None = None
    told = {mistake.variable for mistake in mistakes}
    try:
        settings = cls(**data)
    except ValidationError as error:
        wrong = mistakes_of(error, catalog, found, findings.empty)
        mistakes.extend(mistake for mistake in wrong if mistake.variable not in told)
    if production:
        told = {mistake.variable for mistake in mistakes}
        mistakes.extend(
            _with_source(mistake, catalog, found)
            for mistake in dict.fromkeys(production_mistakes(settings or cls, catalog, data))
            if mistake.variable not in told
        )
    # Raised outside the handler: pydantic's error knows the values and must not travel along.
    if mistakes or settings is None:
        raise SettingsError(mistakes, findings.warnings)
    warnings = (*findings.warnings, *_secrets_in_files(catalog, found))
    origins = {path: value.source for path, value in found.items()}
    settings.remember(Loading(loaded=True, sources=origins, warnings=warnings))
    return settings


def _merged(layers: list[Layer]) -> Layer:
    """Merge leaf by leaf, the first layer winning: a list or a mapping is one value."""
    merged: Layer = {}
    for layer in reversed(layers):
        merged.update(layer)
    return merged


def _environment(catalog: Catalog, sources: Sources, layers: list[Layer]) -> str:
    """Return the name of the environment, which decides on a file before anything is validated."""
    leaf = catalog.by_path.get(("environment",))
    if leaf is None:
        return sources.control("ENVIRONMENT") or "development"
    default = leaf.field.get_default(call_default_factory=False)
    values = [*(layer[leaf.path].value for layer in layers if leaf.path in layer), default]
    chosen = values[0]
    if chosen is PydanticUndefined or chosen is None:
        return "development"
    return str(chosen.value if isinstance(chosen, Enum) else chosen).strip()


def _refuse_other_environment(layer: Layer, environment: str, findings: Findings) -> None:
    named = layer.pop(("environment",), None)
    if named is not None and named.value != environment:
        findings.mistakes.append(
            Mistake("environment", "chose this file, so it must not be another in it", named.source)
        )


def _decoded(catalog: Catalog, found: Layer, mistakes: list[Mistake]) -> dict[Path, object]:
    values: dict[Path, object] = {}
    for path, value in found.items():
        leaf = catalog.by_path[path]
        try:
            values[path] = decode(str(value.value), leaf.field.annotation) if value.text else value.value
        except ValueError as error:
            mistakes.append(Mistake(leaf.variable, str(error), value.source))
    return values


def _nested(catalog: Catalog, values: Mapping[Path, object]) -> dict[str, Any]:
    """Return what the class is built with. A group that no source mentions is left to its default."""
    data: dict[str, Any] = {}
    for group in catalog.groups:
        used = any(path[: len(group.path)] == group.path for path in values)
        if used or (group.expected and _is_built(data, group.path)):
            holder = _holder(data, group.path)
            holder[group.path[-1]] = _beginning(group, holder)
    for path, value in values.items():
        _holder(data, path)[path[-1]] = value
    return data


def _beginning(group: GroupField, parent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the code's default sets in the group, for the sources to add to."""
    default = parent.get(group.path[-1])
    if default is None and not group.expected:
        default = group.field.get_default(call_default_factory=True, validated_data={})
    if not isinstance(default, Group):
        return {}
    return {name: getattr(default, name) for name in default.model_fields_set}


def _is_built(data: Any, path: Path) -> bool:
    """Whether what holds the group at the path is built from the data, and not a default of the code."""
    for name in path[:-1]:
        data = data.get(name)
        if not isinstance(data, dict):
            return False
    return True


def _holder(data: Any, path: Path) -> dict[str, Any]:
    for name in path[:-1]:
        data = data[name]
    holder: dict[str, Any] = data
    return holder


def _with_source(mistake: Mistake, catalog: Catalog, found: Layer) -> Mistake:
    leaf = catalog.by_name.get(mistake.variable)
    if mistake.source is not None or leaf is None:
        return mistake
    return mistake._replace(source=found[leaf.path].source if leaf.path in found else "default")


def _secrets_in_files(catalog: Catalog, found: Layer) -> list[Mistake]:
    problem = "is a secret in a file that is usually committed; set it in the environment or in a secret file"
    written = [(catalog.by_path[path], value) for path, value in found.items() if value.in_file]
    return [
        Mistake(leaf.variable, problem, value.source)
        for leaf, value in written
        if value.value is not None and leaf.secret
    ]
