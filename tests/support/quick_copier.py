"""Copier without the repetitions that make up most of its time and change no result.

- Every path and file is a Jinja template and is compiled in each of the three renders of an update. A template
  with the same text in an environment of the same kind is the same code: it is compiled once. A text without
  any mark of Jinja renders to itself, and is not rendered.
- For each file that it writes, Copier starts git to ask for `core.fileMode`. In the repositories of these tests
  it is true, as wherever files have an executable bit, and nothing follows from the answer.
- An update clones the template five times and parses its copier.yml as often. The same version of a repository
  whose branches and tags are the same is cloned once, the same text parsed once.
"""

import copy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import copier._main
import copier._template
import jinja2
import pytest

# What begins something in the templates here: a statement, a value, a comment, or a line of its own.
MARKS = ("{", "#%", "\r")


class _Now:
    quick = False


@contextmanager
def quick_copier() -> Iterator[None]:
    """Take the repetitions out for a while; inside itself this does nothing."""
    if _Now.quick:
        yield
        return
    _Now.quick = True
    try:
        with _patched():
            yield
    finally:
        _Now.quick = False


@contextmanager
def _patched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched, _clones() as clone:
        patched.setattr(jinja2.Environment, "compile", _compiled_once())
        patched.setattr(copier._main.Worker, "_render_string", _rendered_if_it_is_a_template())
        patched.setattr(copier._main.Worker, "answers_relpath", _answers_file())
        patched.setattr(copier._main.Worker, "_sync_git_index_executable_bit", lambda *_: None)
        patched.setattr(copier._template, "clone", clone)
        patched.setattr(copier._template, "load_template_config", _parsed_once())
        patched.setattr(copier._template.Template, "_cleanup", _cleaned_up_if_its_own())
        yield


def _compiled_once() -> Any:
    compile_template = jinja2.Environment.compile
    compiled: dict[Any, Any] = {}

    def compile_once(environment: jinja2.Environment, source: Any, *arguments: Any, **options: Any) -> Any:
        kind = (type(environment), environment.lexer, tuple(environment.extensions))
        key = (kind, source, arguments, tuple(options.items()))
        if key not in compiled:
            compiled[key] = compile_template(environment, source, *arguments, **options)
        return compiled[key]

    return compile_once


def _rendered_if_it_is_a_template() -> Any:
    render_string = copier._main.Worker._render_string

    def render(worker: Any, string: str, *arguments: Any, **options: Any) -> str:
        if not any(mark in string for mark in MARKS):
            return string
        return render_string(worker, string, *arguments, **options)

    return render


def _answers_file() -> property:
    answers_relpath = copier._main.Worker.answers_relpath.fget
    assert answers_relpath is not None

    def relpath(worker: Any) -> Path:
        path = str(worker.answers_file or worker.template.answers_relpath)
        return answers_relpath(worker) if any(mark in path for mark in MARKS) else Path(path)

    return property(relpath)


def _parsed_once() -> Any:
    load = copier._template.load_template_config
    parsed: dict[bytes, Any] = {}

    def load_once(file: Path, *arguments: Any, **options: Any) -> Any:
        text = file.read_bytes()
        if text not in parsed:
            parsed[text] = load(file, *arguments, **options)
        return copy.deepcopy(parsed[text])

    return load_once


def _cleaned_up_if_its_own() -> Any:
    clean_up = copier._template.Template._cleanup

    def cleaned_up(template: Any) -> None:
        # A clone that is shared is not where Copier asked for it.
        if "local_abspath" in vars(template) and template.local_abspath == template._temp_clone_path:
            clean_up(template)

    return cleaned_up


@contextmanager
def _clones() -> Iterator[Any]:
    """Give a `clone` that makes each clone of a local repository once."""
    clone = copier._template.clone
    folder = Path(tempfile.mkdtemp(prefix="clones-")).resolve()
    made: dict[Any, str] = {}

    def clone_once(url: str, ref: str = "HEAD", location: str | None = None) -> str:
        if ref == "HEAD" or not Path(url).is_dir():
            return str(clone(url, ref, location))
        shown = subprocess.run(["git", "show-ref"], cwd=url, capture_output=True, check=False).stdout
        key = (url, ref, shown)
        if key not in made:
            made[key] = clone(url, ref, str(folder / str(len(made))))
        if location is not None:
            Path(location).rmdir()
        return made[key]

    try:
        yield clone_once
    finally:
        shutil.rmtree(folder, ignore_errors=True)
