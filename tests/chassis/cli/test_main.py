"""The command as a whole: help, errors, exit codes, completion."""

import subprocess
import sys
from pathlib import Path

import pytest

from chassis import cli
from chassis.cli.command import run


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("config", "doctor", "openapi", "version"))
    assert "Exit codes" in shown


def test_no_command_shows_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["docter"], ["doctor", "--nope"], ["doctor", "--directory", "/no/where"]]
)
def test_wrong_usage_has_its_own_exit_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    run(["docter"])
    assert "doctor" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["doctor"], ["openapi"], ["config", "show"]])
def test_a_directory_without_a_service_is_told_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SERVICE_PACKAGE", raising=False)
    assert run([*command, "--directory", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "pyproject.toml" in told


def test_config_show_is_mounted(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--directory", str(sample)]) == 0
    shown = capsys.readouterr().out
    assert "PAYMENTS_API_KEY" in shown
    assert "change-me" not in shown


def test_help_imports_neither_settings_nor_framework() -> None:
    program = (
        "import sys\n"
        "from chassis.cli.command import run\n"
        "run(['--help'])\n"
        "sys.exit(','.join(sorted({'fastapi', 'pydantic', 'chassis.settings'} & set(sys.modules))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stderr.strip() == ""


def test_the_process_exits_with_the_code_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["chassis", "docter"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2


def test_completion_completes_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_CHASSIS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "chassis do")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run([]) == 0
    assert capsys.readouterr().out.split() == ["doctor"]


def test_completion_completes_the_commands_of_a_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_CHASSIS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "chassis config s")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run([]) == 0
    assert capsys.readouterr().out.split() == ["show"]


def test_the_completion_script_can_be_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise typer looks which shell has started this process, and knows no sh.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert run(["--show-completion", "bash"]) == 0
    assert "_CHASSIS_COMPLETE" in capsys.readouterr().out
