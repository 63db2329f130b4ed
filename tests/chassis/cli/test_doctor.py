"""``chassis doctor``: each mistake of an environment is found, and the advice says what to do."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.cli.command import run

Rewrite = Callable[[str, str, str], None]
Examine = Callable[..., tuple[int, dict[str, list[dict[str, str]]]]]


@pytest.fixture
def examine(
    sample: Path, capsys: pytest.CaptureFixture[str], free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> Examine:
    """Run the doctor on the sample; return its exit code and its findings by check."""
    monkeypatch.setenv("PORT", str(free_tcp_port))

    def run_doctor(*options: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
        code = run(["doctor", "--directory", str(sample), "--json", *options])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert document["ok"] is (code == 0)
        found: dict[str, list[dict[str, str]]] = {}
        for finding in document["findings"]:
            found.setdefault(finding["check"], []).append(finding)
        return code, found

    return run_doctor


def test_a_good_environment_has_no_problem(examine: Examine) -> None:
    code, found = examine()
    assert code == 0
    assert found["settings"][0]["level"] == "ok"
    assert found["config"][0]["message"] == "service.yaml"
    assert found["port"][0]["level"] == "ok"
    assert found["app"][0]["level"] == "ok"


def test_findings_are_told_in_words_with_what_to_do(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "many")
    assert run(["doctor", "--directory", str(sample)]) == 1
    shown = capsys.readouterr().out
    assert "problem  settings  PORT" in shown
    assert "-> Set PORT in the environment or in .env." in shown
    assert shown.endswith("\n1 to solve\n")


def test_no_problem_is_said_so(
    sample: Path, monkeypatch: pytest.MonkeyPatch, free_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", str(free_tcp_port))
    assert run(["doctor", "--directory", str(sample)]) == 0
    found, said, further = capsys.readouterr().out.splitlines()[-3:]
    assert (found, said) == ("", "no problem found")
    assert further.startswith("chassis doctor --online also starts the service's resources")


def test_who_asked_health_is_not_told_how(
    sample: Path, monkeypatch: pytest.MonkeyPatch, free_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", str(free_tcp_port))
    run(["doctor", "--online", "--directory", str(sample)])
    assert "--online" not in capsys.readouterr().out


def test_every_mistake_of_the_settings_is_a_problem(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("DEBUG", "true")
    monkeypatch.setenv("CORS_ORIGINS", "*")
    code, found = examine()
    assert code == 1
    told = " ".join(finding["message"] for finding in found["settings"])
    assert "DEBUG" in told
    assert "CORS_ORIGINS" in told
    assert "PAYMENTS_API_KEY" in told
    assert "change-me" not in json.dumps(found)
    assert "app" not in found


def test_a_warning_of_the_settings_is_no_problem(examine: Examine, sample: Path) -> None:
    (sample / ".env").write_text("LOG_LEVLE=debug\n")
    code, found = examine()
    assert code == 0
    assert [finding["level"] for finding in found["settings"]] == ["warning"]
    assert found["config"][0]["message"] == "service.yaml, .env"


def test_settings_that_cannot_be_imported_are_a_problem(examine: Examine, rewrite: Rewrite) -> None:
    rewrite("settings.py", "from pydantic import", "from pydantik import")
    code, found = examine()
    assert code == 1
    assert "pydantik" in found["settings"][0]["message"]


def test_settings_of_another_kind_are_a_problem(examine: Examine, sample: Path, rewrite: Rewrite) -> None:
    rewrite("settings.py", "from chassis.service_settings import ServiceSettings\n", "")
    rewrite(
        "settings.py",
        "from chassis.settings import Group",
        "from chassis.settings import Group, Settings as ServiceSettings",
    )
    (sample / "config" / "service.yaml").unlink()
    code, found = examine()
    assert code == 1
    assert "ServiceSettings" in found["settings"][0]["advice"]


def test_a_missing_settings_class_is_wrong_usage(sample: Path, rewrite: Rewrite) -> None:
    rewrite("settings.py", "class Settings(", "class Setings(")
    assert run(["doctor", "--directory", str(sample)]) == 2


def test_a_port_in_use_is_a_problem(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        code, found = examine()
    assert code == 1
    assert "in use" in found["port"][0]["message"]
    assert "PORT" in found["port"][0]["advice"]


def test_the_management_port_is_looked_at_too(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("MANAGEMENT_PORT", str(taken.getsockname()[1]))
        _, found = examine()
    assert [finding["level"] for finding in found["port"]] == ["ok", "problem"]
    assert "MANAGEMENT_PORT" in found["port"][1]["advice"]


def test_a_port_that_needs_rights_is_a_problem(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    _, found = examine()
    assert "above 1023" in found["port"][0]["advice"]


def test_an_address_of_another_machine_is_a_problem(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "192.0.2.1")
    code, found = examine()
    assert code == 1
    assert "HOST" in found["port"][0]["advice"]


def test_a_port_chosen_by_the_system_is_not_looked_at(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0")
    _, found = examine()
    assert "port" not in found


def test_a_create_app_that_fails_is_a_problem(examine: Examine, rewrite: Rewrite) -> None:
    rewrite("app.py", "    return chassis_app", "    raise LookupError('no cake')\n    return chassis_app")
    code, found = examine()
    assert code == 1
    assert "LookupError: no cake" in found["app"][0]["message"]


def test_an_error_is_told_without_its_secret(examine: Examine, rewrite: Rewrite) -> None:
    failing = "    raise ValueError('bad DSN postgres://u:s3cretpassw0rd@db/x')\n    return chassis_app"
    rewrite("app.py", "    return chassis_app", failing)
    _, found = examine()
    assert "ValueError: bad DSN postgres://u:s3***rd@db/x" in found["app"][0]["message"]
    assert "cretpassw0" not in json.dumps(found)


def test_a_directory_without_config_files_is_a_warning(examine: Examine, sample: Path) -> None:
    (sample / "config" / "service.yaml").unlink()
    code, found = examine()
    assert code == 0
    assert found["config"][0]["level"] == "warning"


def test_a_python_that_is_too_old_is_a_problem(examine: Examine, sample: Path) -> None:
    project = sample / "pyproject.toml"
    project.write_text(project.read_text().replace(">=3.11", ">=9.9"))
    code, found = examine()
    assert code == 1
    assert "too old" in found["python"][0]["message"]


def test_a_bundle_whose_extra_is_missing_is_a_problem(
    examine: Examine, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def requires(_: str) -> list[str]:
        return ["fastapi>=0.165", "no-such-driver<9,>=1; extra == 'database'", "pytest; extra == 'testing'"]

    monkeypatch.setattr("chassis.cli.checks.installation.requires", requires)
    (sample / "src" / sample.name / "store.py").write_text("from chassis.bundles.database import Session\n")
    (sample / "src" / sample.name / "broken.py").write_text("def (:\n")
    code, found = examine()
    assert code == 1
    assert found["bundles"][0]["message"] == "database is used and no-such-driver not installed"
    assert "vendored-chassis[database]" in found["bundles"][0]["advice"]


@pytest.mark.parametrize(
    "line",
    [
        "from chassis.bundles import database",
        "import chassis.bundles.database",
        "from chassis.bundles.database import X",
    ],
)
def test_each_way_to_import_a_bundle_is_seen(examine: Examine, sample: Path, line: str) -> None:
    (sample / "src" / sample.name / "store.py").write_text(f"{line}\n")
    _, found = examine()
    assert found["bundles"][0] == {"check": "bundles", "level": "ok", "message": "database", "advice": ""}


def test_a_chassis_that_is_not_installed_has_no_extras_to_miss(
    examine: Examine, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.cli.checks.installation.DISTRIBUTION", "no-such-distribution")
    (sample / "src" / sample.name / "store.py").write_text("import chassis.bundles.database\n")
    _, found = examine()
    assert found["bundles"][0]["level"] == "ok"


def test_no_uv_is_a_warning(
    examine: Examine, sample: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (sample / "uv.lock").write_text("")
    code, found = examine()
    assert code == 0
    assert found["uv"][0]["level"] == "warning"
    assert found["lock"][0]["message"] == "cannot be checked without uv"


def test_no_lock_file_is_a_warning(examine: Examine) -> None:
    _, found = examine()
    assert found["lock"][0]["level"] == "warning"
    assert "uv lock" in found["lock"][0]["advice"]


@pytest.fixture
def install_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Path) -> Callable[[str], None]:
    """Put a uv on PATH that does what a script says, and a lock file for it to check."""

    def install(script: str) -> None:
        (sample / "uv.lock").write_text("")
        program = tmp_path / "uv"
        program.write_text(script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


@pytest.mark.parametrize(
    ("script", "level", "message"),
    [
        ("exit 0", "ok", "fits"),
        (
            "echo 'error: The lockfile at `uv.lock` needs to be updated' >&2; exit 1",
            "problem",
            "does not fit",
        ),
        ("echo 'error: no network' >&2; exit 2", "warning", "without a network"),
    ],
)
def test_the_lock_file_is_checked_by_uv(
    examine: Examine, install_uv: Callable[[str], None], script: str, level: str, message: str
) -> None:
    install_uv(f"#!/bin/sh\n{script}\n")
    _, found = examine()
    assert found["lock"][0]["level"] == level
    assert message in found["lock"][0]["message"]


def test_a_uv_that_cannot_be_run_is_a_warning(examine: Examine, install_uv: Callable[[str], None]) -> None:
    install_uv("#!/no/such/interpreter\n")
    _, found = examine()
    assert found["lock"][0]["level"] == "warning"


def test_a_real_uv_finds_a_stale_lock_file(examine: Examine, sample: Path) -> None:
    (sample / "uv.lock").write_text('version = 1\nrevision = 3\nrequires-python = ">=3.12"\n')
    _, found = examine()
    assert found["lock"][0]["level"] == "problem"


def test_health_is_asked_only_on_request(examine: Examine) -> None:
    _, found = examine()
    assert "health" not in found


def test_health_checks_are_asked(examine: Examine) -> None:
    code, found = examine("--online")
    assert code == 0
    assert {finding["message"].partition(":")[0] for finding in found["health"]} >= {"memory", "disk"}


ADD_CHECK = """    service = chassis_app.create_app(settings or load(Settings), routers=[router])
    async def probe():
        raise ConnectionError("connection refused")
    service.environment.health.add(HealthCheck("billing", probe, critical={critical}))
    return service
    return chassis_app"""


@pytest.mark.parametrize(("critical", "level"), [(True, "problem"), (False, "warning")])
def test_a_failing_check_is_a_finding_by_its_criticality(
    examine: Examine, rewrite: Rewrite, critical: bool, level: str
) -> None:
    rewrite(
        "app.py", "from chassis.settings", "from chassis.health import HealthCheck\nfrom chassis.settings"
    )
    rewrite("app.py", "    return chassis_app", ADD_CHECK.format(critical=critical))
    _, found = examine("--online")
    billing = next(finding for finding in found["health"] if finding["message"].startswith("billing"))
    assert billing["level"] == level


def test_a_resource_that_does_not_start_is_a_problem(examine: Examine, rewrite: Rewrite) -> None:
    start = """    service = chassis_app.create_app(settings or load(Settings), routers=[router])
    def fail():
        raise ConnectionError("no database")
    service.environment.lifecycle.on_start("database", fail)
    return service
    return chassis_app"""
    rewrite("app.py", "    return chassis_app", start)
    code, found = examine("--online")
    assert code == 1
    assert "no database" in found["start"][0]["message"]


def test_a_wrapped_application_is_well(examine: Examine, rewrite: Rewrite) -> None:
    wrapped = """    from chassis.wrapping import wrap
    from fastapi import FastAPI
    return wrap(FastAPI(), settings or load(Settings))
    return chassis_app"""
    rewrite("app.py", "    return chassis_app", wrapped)
    code, found = examine("--online")
    assert code == 0
    assert found["app"][0]["message"] == "sample 0.0.0 can be built"
    assert {finding["level"] for finding in found["health"]} <= {"ok", "warning"}


def test_a_package_beside_pyproject_is_looked_at(examine: Examine, sample: Path) -> None:
    (sample / "src" / sample.name).rename(sample / sample.name)
    (sample / "src").rmdir()
    (sample / sample.name / "store.py").write_text("import chassis.bundles.database\n")
    code, found = examine()
    assert code == 0
    assert found["app"][0]["level"] == "ok"
    assert found["bundles"][0]["message"] == "database"


def test_a_package_named_by_a_variable_needs_no_project(
    examine: Examine, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_PACKAGE", sample.name)
    (sample / "pyproject.toml").unlink()
    code, found = examine()
    assert code == 0
    assert found["python"][0]["level"] == "ok"
