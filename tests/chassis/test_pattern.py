"""Expressions that are compiled when they are first used."""

import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

import chassis
from chassis.pattern import LazyPattern, pattern


def test_nothing_is_compiled_before_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(re, "compile", lambda *arguments: compiled.append(arguments))
    pattern("never used")
    assert compiled == []


def test_a_method_is_that_of_the_compiled_pattern() -> None:
    word = pattern(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert word.sub(lambda found: found["word"].upper(), "a Bc 1") == "A BC 1"
    assert word.fullmatch("abC") is not None
    assert word.flags == re.compile(r"(?P<word>[a-z]+)", re.IGNORECASE).flags


def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = pattern("[0-9]+")
    digits.search("1")
    monkeypatch.setattr(re, "compile", None)
    assert digits.search("a 1") is not None


def test_threads_may_use_it_first_together() -> None:
    together = Barrier(8)
    digits = pattern("[0-9]+")

    def mask(text: str) -> str:
        together.wait()
        return digits.sub("*", text)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(mask, ["a 12 b"] * 8)) == ["a * b"] * 8


def test_every_pattern_of_the_chassis_can_be_compiled() -> None:
    root = Path(chassis.__file__).parent
    users = [path for path in root.rglob("*.py") if "from chassis.pattern import" in path.read_text("utf-8")]
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in users]
    modules = [importlib.import_module(name) for name in names]
    patterns = [
        value for module in modules for value in vars(module).values() if isinstance(value, LazyPattern)
    ]
    assert len(patterns) >= len(modules) > 0
    for one in patterns:
        re.compile(one.pattern, one.flags)
