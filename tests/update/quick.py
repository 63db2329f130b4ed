"""Copier without two repetitions that make up most of its time and change no result.

- Every path and file is a Jinja template and is compiled in each of the three renders of an update. A template
  with the same text in an environment of the same kind is the same code: it is compiled once.
- For each file that it writes, Copier starts git to ask for `core.fileMode`. In the repositories of these tests
  it is true, as wherever files have an executable bit, and nothing follows from the answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jinja2
import pytest


@contextmanager
def quick_copier() -> Iterator[None]:
    """Take the repetitions out for a while."""
    compile_template = jinja2.Environment.compile
    compiled: dict[Any, Any] = {}

    def compile_once(environment: jinja2.Environment, source: Any, *arguments: Any, **options: Any) -> Any:
        kind = (type(environment), environment.lexer, tuple(environment.extensions))
        key = (kind, source, arguments, tuple(options.items()))
        if key not in compiled:
            compiled[key] = compile_template(environment, source, *arguments, **options)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jinja2.Environment, "compile", compile_once)
        patched.setattr("copier._main.Worker._sync_git_index_executable_bit", lambda *_: None)
        yield
