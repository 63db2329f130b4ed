"""A YAML file of settings: nested groups, each value and each mistake with its line."""

from pathlib import Path as FilePath
from typing import Any, NamedTuple

from chassis.pattern import pattern
from chassis.settings.catalog import Catalog, Path
from chassis.settings.mistakes import Mistake

__all__ = ["YamlFile", "YamlValue", "read_yaml"]

# A name in a message ("found undefined alias 'x'") could be part of a secret; a token ("<block end>") not.
_QUOTED = pattern(r"'(?!<)[^']{2,}'")


_MOST_NODES = 10_000


class YamlValue(NamedTuple):
    """The value of one leaf and the line it stands on, from 1."""

    value: object
    line: int


class YamlFile(NamedTuple):
    """The leaves that a file sets, and what is wrong with it."""

    values: dict[Path, YamlValue]
    mistakes: list[Mistake]


def read_yaml(file: FilePath, catalog: Catalog, label: str) -> YamlFile:
    """Read the file; ``label`` is what messages call it. What is wrong is collected, never raised."""
    import yaml

    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        return YamlFile({}, [Mistake(label, f"cannot be read: {error.strerror}")])
    except UnicodeDecodeError:
        return YamlFile({}, [Mistake(label, "must be UTF-8 text")])
    # The C loader is ten times as fast, which is milliseconds of every start; PyYAML may be built without.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    reader = _Reader(catalog, label, loader)
    try:
        root = loader.get_single_node()
        if root is not None:
            reader.read_group(root, ())
    except yaml.YAMLError as error:
        reader.mistakes.append(_malformed(error, label))
    finally:
        loader.dispose()
    return YamlFile(reader.values, reader.mistakes)


class _Reader:
    """Walks the nodes of one document along the groups of the catalog."""

    def __init__(self, catalog: Catalog, label: str, loader: Any) -> None:
        self._catalog = catalog
        self._label = label
        self._loader = loader
        self.values: dict[Path, YamlValue] = {}
        self.mistakes: list[Mistake] = []

    def read_group(self, node: Any, path: Path) -> None:
        """Read the settings of one group; an empty section sets none."""
        if node.tag == "tag:yaml.org,2002:null":
            return
        if node.id != "mapping":
            name = ".".join(path) or self._label
            self._mistake(name, "must be a group of settings, one `name: value` a line", node)
            return
        written: set[str] = set()
        for key, _ in node.value:
            name = _name(key)
            if name in written:
                self._mistake(".".join((*path, name)), "is written twice", key)
            written.add(name)
        self._loader.flatten_mapping(node)
        for key, value in node.value:
            here = (*path, _name(key))
            if here in self._catalog.group_paths:
                self.read_group(value, here)
            elif here in self._catalog.by_path:
                self._read_leaf(here, key, value)
            else:
                self._mistake(".".join(here), f"is no setting{self._suggestion(here)}", key)

    def _read_leaf(self, path: Path, key: Any, value: Any) -> None:
        if _is_huge(value):
            self._mistake(".".join(path), f"must hold at most {_MOST_NODES} values", key)
            return
        try:
            self.values[path] = YamlValue(self._loader.construct_object(value, deep=True), _line(key))
        except ValueError:
            # A date such as 2024-02-31 has the form of a date and is none.
            self._mistake(".".join(path), "must be put in quotes, or be a real date", value)

    def _suggestion(self, path: Path) -> str:
        *group, name = path
        meant = self._catalog.by_name.get(name.upper())
        if meant is None:
            siblings = {
                known[-1]: known
                for known in (*self._catalog.by_path, *self._catalog.group_paths)
                if known[:-1] == tuple(group)
            }
            from difflib import get_close_matches

            close = get_close_matches(name, siblings, n=1, cutoff=0.6)
            if not close:
                return ""
            return f"; did you mean {'.'.join(siblings[close[0]])}?"
        return f"; did you mean {meant.dotted}?"

    def _mistake(self, name: str, problem: str, node: Any) -> None:
        self.mistakes.append(Mistake(name, problem, f"{self._label} line {_line(node)}"))


def _is_huge(node: Any) -> bool:
    """Tell whether a value has too many parts: with aliases, a few lines can stand for any number."""
    parts, count = [node], 0
    while parts and count <= _MOST_NODES:
        part = parts.pop()
        count += 1
        if part.id == "sequence":
            parts.extend(part.value)
        elif part.id == "mapping":
            parts.extend(item for _, item in part.value)
    return count > _MOST_NODES


def _name(key: Any) -> str:
    return str(key.value) if key.id == "scalar" else "[...]"


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _malformed(error: Any, label: str) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = _QUOTED.sub(
        "'...'", getattr(error, "problem", None) or "it holds a character that YAML forbids"
    )
    return Mistake(label, f"is no valid YAML: {problem}", f"{label} line {mark.line + 1}" if mark else label)
