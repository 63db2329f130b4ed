"""The ``.env`` file: python-dotenv's syntax, with the line of each variable."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

__all__ = ["DotenvFile", "Line", "read_dotenv"]


class Line(NamedTuple):
    """The value of one variable and the line it stands on, from 1."""

    value: str
    number: int


class DotenvFile(NamedTuple):
    """The variables of a file, and the lines that could not be read."""

    variables: Mapping[str, Line]
    broken: tuple[int, ...]


def read_dotenv(path: Path, environ: Mapping[str, str]) -> DotenvFile:
    """Read the file; ``${NAME}`` in a value is an earlier variable of the file, else of the environment.

    Raises ``OSError`` when it cannot be read and ``UnicodeDecodeError`` when it is not UTF-8.
    """
    variables: dict[str, Line] = {}
    broken: list[int] = []
    for binding in parse_stream(StringIO(path.read_text(encoding="utf-8-sig"))):
        # The text of a binding begins with the blank lines before it.
        text = binding.original.string
        line = binding.original.line + len(text[: len(text) - len(text.lstrip())].splitlines())
        if binding.error:
            broken.append(line)
        elif binding.key is not None and binding.value is not None:
            known = {**environ, **{name: earlier.value for name, earlier in variables.items()}}
            value = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
            variables[binding.key] = Line(value, line)
    return DotenvFile(variables, tuple(broken))
