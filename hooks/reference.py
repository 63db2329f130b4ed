"""Generates the reference of all settings and the text of ``.env.example`` from the settings classes.

    python hooks/reference.py --bundle database=chassis.bundles.database:DatabaseSettings
    python hooks/reference.py --check ...

writes docs/reference/settings.md and template/.env.example.jinja, or with ``--check`` tells whether they are
up to date. A bundle's variables are in the rendered ``.env.example`` only when the bundle was chosen.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import annotated_types
from pydantic import create_model
from pydantic_core import PydanticUndefined

from chassis.settings import Catalog, Group, Leaf, Settings
from chassis.settings.catalog import GroupField
from chassis.settings.decoding import alternatives
from chassis.settings.disclosure import rendered

ROOT = Path(__file__).resolve().parent.parent

_PAGE_HEAD = """\
# Settings

Generated from the settings classes by `hooks/reference.py`; do not edit. [Configuration](configuration.md)
tells in which order the sources are asked, and how values are written.
"""
_ENV_HEAD = """\
# Owned by the template: every setting of the chassis, with the library's default.
# config/defaults.yaml and config/service.yaml give some of them another value in this service: what is set
# here as a variable wins. `.venv/bin/chassis config show` prints what holds.
# Copy this file to .env, which is never committed, and set there what you need. A variable that is commented
# out or empty counts as not set.
"""


def settings_page(cls: type[Settings], bundles: Mapping[str, type[Group]]) -> str:
    """Return the page: one table for the service, one for each group and one for each bundle."""
    parts = [_PAGE_HEAD, *_page_sections(Catalog(cls))]
    for name, group in bundles.items():
        parts += _page_sections(_catalog_of_bundle(name, group), f"Bundle `{name}`: ")
    return "\n".join(parts)


def env_example(cls: type[Settings], bundles: Mapping[str, type[Group]]) -> str:
    """Return the text of ``.env.example``; the part of a bundle stands between Jinja conditions."""
    parts = [_ENV_HEAD, *_env_sections(Catalog(cls))]
    for name, group in bundles.items():
        section = "\n".join(_env_sections(_catalog_of_bundle(name, group)))
        # The hyphens eat the line ends around the conditions, so that no blank line is left at the end.
        parts.append(f"{{%- if '{name}' in bundles %}}\n\n{section}{{%- endif %}}\n")
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Write or check both files."""
    parser = argparse.ArgumentParser(description="Generate the reference of the settings.")
    parser.add_argument(
        "--settings", default="chassis.service_settings:ServiceSettings", help="package.module:Class"
    )
    parser.add_argument("--bundle", action="append", default=[], metavar="NAME=package.module:Group")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/reference/settings.md")
    parser.add_argument("--env-example", type=Path, default=ROOT / "template/.env.example.jinja")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when a file is out of date"
    )
    options = parser.parse_args(arguments)
    cls = _load(options.settings)
    bundles = {
        name: _load(reference) for name, _, reference in (entry.partition("=") for entry in options.bundle)
    }
    stale = 0
    for file, text in (
        (options.page, settings_page(cls, bundles)),
        (options.env_example, env_example(cls, bundles)),
    ):
        if not options.check:
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            print(f"{file} is out of date: run python hooks/reference.py", file=sys.stderr)
            stale = 1
    return stale


def _page_sections(catalog: Catalog, heading: str = "") -> Iterator[str]:
    for group, leaves in _sections(catalog):
        title = heading + (f"`{'.'.join(group.path)}`" if group else "The service")
        rows = [
            " | ".join(
                [
                    f"| `{leaf.variable}`",
                    f"`{leaf.dotted}`",
                    _default_text(catalog, leaf),
                    _cell(_meaning(leaf)),
                ]
            )
            + " |"
            for leaf in leaves
        ]
        yield "\n".join(
            [
                f"## {title}\n\n{_paragraph(group.kind if group else catalog.cls)}\n",
                "| Variable | In YAML | Default | Meaning |",
                "| --- | --- | --- | --- |",
                *rows,
                "",
            ]
        )


def _env_sections(catalog: Catalog) -> Iterator[str]:
    for group, leaves in _sections(catalog):
        lines = [f"# --- {_first_sentence(group.kind)}" if group else "# --- The service."]
        for leaf in leaves:
            lines += [f"# {_meaning(leaf)}", _env_line(catalog, leaf)]
        yield "\n".join([*lines, ""])


def _sections(catalog: Catalog) -> Iterator[tuple[GroupField | None, list[Leaf]]]:
    for group in (None, *catalog.groups):
        path = group.path if group else ()
        leaves = [leaf for leaf in catalog.leaves if leaf.path[:-1] == path]
        if leaves:
            yield group, leaves


def _env_line(catalog: Catalog, leaf: Leaf) -> str:
    default = _default(catalog, leaf)
    if default is PydanticUndefined:
        return f"{leaf.variable}="
    if leaf.secret or default is None:
        return f"# {leaf.variable}="
    text = rendered(default)
    if isinstance(default, list | tuple | set | frozenset) and all("," not in str(item) for item in default):
        text = ",".join(rendered(item) for item in default)
    if any(character in text for character in " #\"'") and not text.startswith(("[", "{")):
        text = f'"{text}"' if "'" in text and not any(mark in text for mark in '"\\$') else f"'{text}'"
    return f"# {leaf.variable}={text}"


def _default_text(catalog: Catalog, leaf: Leaf) -> str:
    default = _default(catalog, leaf)
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "not set"
    return (
        "`***`" if leaf.secret else _cell(f"`{rendered(default) or ' '}`" if rendered(default) else "empty")
    )


def _default(catalog: Catalog, leaf: Leaf) -> Any:
    """Return the default; that of an instance which a group is defaulted to comes before the field's own."""
    holder: Any = None
    for length in range(1, len(leaf.path)):
        group = catalog.group_paths[leaf.path[:length]]
        if isinstance(holder, Group):
            holder = getattr(holder, group.path[-1])
        elif not group.field.is_required() and group.field.default_factory is None:
            holder = group.field.default
    if isinstance(holder, Group):
        return getattr(holder, leaf.path[-1])
    return leaf.field.get_default(call_default_factory=True, validated_data={})


def _meaning(leaf: Leaf) -> str:
    text = (leaf.field.description or "").strip()
    limits = ", ".join(_limits(leaf))
    kind = "; ".join(part for part in (_kind(leaf), limits) if part)
    return f"{text} ({kind})".strip() if kind else text


def _kind(leaf: Leaf) -> str:
    members = [member for member in alternatives(leaf.field.annotation) if member is not type(None)]
    choices: list[str] = []
    for member in members:
        if get_origin(member) is Literal:
            choices += [str(choice) for choice in get_args(member)]
        elif isinstance(member, type) and issubclass(member, Enum):
            choices += [str(choice.value) for choice in member]
    if choices:
        return f"one of {', '.join(choices)}"
    if leaf.secret:
        return "secret"
    names: dict[object, str] = {bool: "true or false", int: "whole number", float: "number", str: ""}
    kind = get_origin(members[0]) or members[0]
    if isinstance(kind, type) and issubclass(kind, list | tuple | set | frozenset):
        return "list"
    if isinstance(kind, type) and issubclass(kind, dict):
        return "JSON object"
    return names.get(kind, "")


def _limits(leaf: Leaf) -> Iterator[str]:
    words = {
        annotated_types.Ge: ("ge", "at least"),
        annotated_types.Gt: ("gt", "more than"),
        annotated_types.Le: ("le", "at most"),
        annotated_types.Lt: ("lt", "less than"),
    }
    for mark in leaf.marks:
        if type(mark) in words:
            attribute, word = words[type(mark)]
            yield f"{word} {getattr(mark, attribute)}"


def _paragraph(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")


def _first_sentence(cls: type) -> str:
    return _paragraph(cls).partition(". ")[0].rstrip(".") + "."


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _catalog_of_bundle(name: str, group: type[Group]) -> Catalog:
    fields: dict[str, Any] = {name: Annotated[group, "bundle"]}
    return Catalog(cast("type[Settings]", create_model("Bundle", __base__=Settings, **fields)))


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    sys.exit(main())
