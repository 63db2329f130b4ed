"""The command as a whole: help, errors, exit codes, completion."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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


TALKATIVE = """    import structlog
    print("printed")
    service = chassis_app.create_app(settings or load(Settings), routers=[router])
    structlog.get_logger("sample").warning("logged")
    return service
    return chassis_app"""


@pytest.mark.parametrize(
    "command",
    [["openapi"], ["doctor", "--json"], ["doctor", "--online", "--json"], ["config", "show", "--json"]],
)
def test_what_a_service_says_stays_out_of_the_answer(
    command: list[str], sample: Path, rewrite: Callable[[str, str, str], None], free_tcp_port: int
) -> None:
    """In a process of its own, whose log is buffered as it is in production."""
    rewrite("settings.py", "from pydantic import", "print('imported')\nfrom pydantic import")
    rewrite("app.py", "    return chassis_app", TALKATIVE)
    variables = {"ENVIRONMENT": "staging", "PORT": str(free_tcp_port), "LOG_FORMAT": "json"}
    result = subprocess.run(
        [sys.executable, "-c", "from chassis import cli; cli.main()", *command],
        cwd=sample,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    json.loads(result.stdout)
    assert "imported" in result.stderr
    if "config" not in command:
        assert "printed" in result.stderr
        assert '"event":"logged"' in result.stderr


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


@pytest.fixture
def any_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise typer looks which shell has started this process, and knows no sh.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")


@pytest.mark.usefixtures("any_shell")
def test_the_completion_script_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--show-completion", "bash"]) == 0
    assert "_CHASSIS_COMPLETE" in capsys.readouterr().out


@pytest.mark.usefixtures("any_shell")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "pwsh"])
def test_completion_is_installed_for_a_shell(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pwsh").write_text(f"#!{shutil.which('sh')}\necho {tmp_path}/profile.ps1\n")
    (tmp_path / "pwsh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert run(["--install-completion", shell]) == 0
    assert "completion installed" in capsys.readouterr().out
    written = [file.read_text() for file in tmp_path.rglob("*") if file.is_file() and file.name != "pwsh"]
    assert any("_CHASSIS_COMPLETE" in text for text in written)
