"""``chassis openapi``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.command import run

Rewrite = Callable[[str, str, str], None]


def test_the_document_describes_the_service(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["openapi", "--directory", str(sample)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["info"]["title"] == "sample"
    assert "/items/{item_id}" in document["paths"]


def test_the_document_is_the_same_each_time(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["openapi", "--directory", str(sample)])
    first = capsys.readouterr().out
    run(["openapi", "--directory", str(sample)])
    assert capsys.readouterr().out == first
    assert list(json.loads(first)) == sorted(json.loads(first))


def test_the_document_can_be_written_to_a_file(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "docs" / "openapi.json"
    assert run(["openapi", "--directory", str(sample), "--output", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["info"]["title"] == "sample"
    assert capsys.readouterr().out == ""


def test_what_the_service_prints_while_it_is_built_stays_out_of_the_document(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite("app.py", "    return chassis_app", "    print('hello')\n    return chassis_app")
    run(["openapi", "--directory", str(sample)])
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert "hello" in shown.err


def test_invalid_settings_are_told_without_a_traceback(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "many")
    assert run(["openapi", "--directory", str(sample)]) == 1
    told = capsys.readouterr().err
    assert "PORT" in told
    assert "Traceback" not in told


def test_a_service_that_cannot_be_imported_is_told_in_one_line(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite("app.py", "from .items", "from .itmes")
    assert run(["openapi", "--directory", str(sample)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "itmes" in told


@pytest.mark.parametrize("options", [[], ["--traceback"]])
def test_an_error_is_told_without_its_secret(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    rewrite(
        "app.py", "    return chassis_app", "    raise ValueError('bad: ' + address)\n    return chassis_app"
    )
    rewrite("app.py", "def create_app", "address = 'postgres://u:s3cretpassw0rd@db/x'\n\n\ndef create_app")
    assert run([*options, "openapi", "--directory", str(sample)]) == 1
    told = capsys.readouterr().err
    assert "ValueError: bad: postgres://u:s3***rd@db/x" in told
    assert "cretpassw0" not in told


def test_the_traceback_is_shown_on_request(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite("app.py", "from .items", "from .itmes")
    assert run(["--traceback", "openapi", "--directory", str(sample)]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_create_app_that_returns_something_else_is_refused(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite("app.py", "return chassis_app.create_app", "return (lambda *_, **__: None)")
    assert run(["openapi", "--directory", str(sample)]) == 2
    assert "create_app" in capsys.readouterr().err


WRAPPED = """    from chassis.wrapping import wrap
    from fastapi import FastAPI
    return wrap(FastAPI(title="inside"), settings or load(Settings))
    return chassis_app"""


def test_of_a_wrapped_application_it_is_that_of_the_application(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite("app.py", "    return chassis_app", WRAPPED)
    assert run(["openapi", "--directory", str(sample)]) == 0
    assert json.loads(capsys.readouterr().out)["info"]["title"] == "inside"


def test_a_wrapped_application_may_have_none(
    sample: Path, rewrite: Rewrite, capsys: pytest.CaptureFixture[str]
) -> None:
    without = WRAPPED.replace('FastAPI(title="inside")', "lambda *_: None")
    rewrite("app.py", "    return chassis_app", without)
    assert run(["openapi", "--directory", str(sample)]) == 2
    assert "has no OpenAPI document" in capsys.readouterr().err
