"""`up` with a real engine: everything becomes healthy in order, speaks to each other, and is gone after `down`."""

import json
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(900)]

# Services whose images have no stand-in: they cannot be had here.
ABSENT = {"collector", "grafana", "jaeger", "loki"}
STARTED = {"alertmanager", "gateway", "postgres", "prometheus", "redis", "service"}


@pytest.fixture(scope="module")
def folder(
    *,
    engine: Any,
    render: Callable[..., Path],
    check: Callable[..., str],
    stand_ins: Callable[[Path], None],
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A service with a database, its image, the stand-ins and a certificate."""
    service = Path(
        shutil.copytree(
            render(bundles=["database"], deployment="compose"), tmp_path_factory.mktemp("compose") / "orders"
        )
    )
    check("uv", "lock", "--quiet", cwd=service)
    engine.make_base_of(service / "Dockerfile")
    engine.build(service, "registry.example.com/orders:dev")
    stand_ins(service / "compose.yaml")
    for name in ("tls.crt", "tls.key"):
        shutil.copy2(certificate / name, service / "deploy" / "tls")
        # the gateway is no root, and reads the key of this test
        (service / "deploy" / "tls" / name).chmod(0o644)
    for parent in service.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    return service


@pytest.fixture
def ports(free_port: Callable[[], int]) -> dict[str, str]:
    names = ("PORT", "HTTP_PORT", "HTTPS_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
    return {name: str(free_port()) for name in names}


@pytest.fixture
def up(
    engine: Any, folder: Path, compose: Callable[..., str], ports: dict[str, str]
) -> Iterator[dict[str, dict[str, Any]]]:
    """Everything that can be had here is up; gives what the engine knows of each container, by service."""
    try:
        try:
            compose(folder, "up", "--detach", "--no-build", *sorted(STARTED), engine=engine, **ports)
        except pytest.fail.Exception as failed:
            logs = compose(folder, "logs", "--no-color", "--tail", "30", engine=engine, **ports)
            pytest.fail(f"{failed}\n{logs}", pytrace=False)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            states = containers(engine)
            healthy = {
                name
                for name, state in states.items()
                if state["State"].get("Health", {}).get("Status") == "healthy"
            }
            if healthy == STARTED:
                break
            time.sleep(0.5)
        else:
            logs = compose(folder, "logs", "--no-color", "--tail", "20", engine=engine, **ports)
            pytest.fail(f"never healthy: {STARTED - healthy}\n{logs}")
        yield states
    finally:
        compose(folder, "down", "--volumes", "--timeout", "60", engine=engine, **ports)


def containers(engine: Any) -> dict[str, dict[str, Any]]:
    """The containers of the project by service."""
    found = engine.run("ps", "--all", "--quiet").stdout.split()
    states = json.loads(engine.run("inspect", *found).stdout) if found else []
    return {state["Config"]["Labels"]["com.docker.compose.service"]: state for state in states}


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.5)


def test_everything_becomes_healthy_and_works_together(
    up: dict[str, dict[str, Any]], ports: dict[str, str], certificate: Path
) -> None:
    # The database was migrated before the service started.
    assert up["migration"]["State"]["ExitCode"] == 0
    assert up["migration"]["State"]["FinishedAt"] < up["service"]["State"]["StartedAt"]
    assert up["service"]["State"]["StartedAt"] < up["gateway"]["State"]["StartedAt"]
    # Through the gateway to the database and back.
    verify = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
    with httpx2.Client(base_url=f"https://127.0.0.1:{ports['HTTPS_PORT']}", verify=verify) as gateway:
        created = gateway.post("/items", json={"name": "Desk lamp"})
        assert created.status_code == 201
        assert gateway.get(created.headers["location"]).json() == created.json()
        assert "strict-transport-security" in created.headers, "the service trusts the gateway"
        assert gateway.get("/metrics").status_code == 404
    # Nothing ran as process number 1, which would miss an early SIGTERM.
    assert up["service"]["HostConfig"]["Init"] is True
    # Prometheus finds the service by its name.
    prometheus = httpx2.Client(base_url=f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}")
    with prometheus:
        query = {"query": 'up{job="orders"}'}

        def scraped() -> bool:
            result = prometheus.get("/api/v1/query", params=query).json()["data"]["result"]
            return [sample["value"][1] for sample in result] == ["1"]

        eventually(scraped, "Prometheus scrapes the service")
        rules = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        assert any(rule["type"] == "alerting" for group in rules for rule in group["rules"])
        eventually(
            lambda: bool(prometheus.get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]),
            "Prometheus knows Alertmanager",
        )
    # The engine's own log file is what the collector reads: each entry carries the tag, and a line that is whole.
    log = Path(up["service"]["LogPath"]).read_text(encoding="utf-8")
    entries = [json.loads(entry) for entry in log.splitlines()]
    assert {entry["attrs"]["tag"] for entry in entries} == {"orders"}
    assert all(entry["log"].endswith("\n") for entry in entries)
    lines = [json.loads(entry["log"]) for entry in entries]
    assert any(line["event"] == "request" for line in lines)
    assert all(
        {"timestamp", "level", "event", "service", "environment", "logger"} <= set(line) for line in lines
    )


def test_envoy_stands_in_the_place_of_nginx(
    *,
    engine: Any,
    folder: Path,
    compose: Callable[..., str],
    ports: dict[str, str],
    certificate: Path,
) -> None:
    verify = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
    try:
        compose(folder, "up", "--detach", "--no-build", "gateway-envoy", engine=engine, **ports)
        with httpx2.Client(base_url=f"https://127.0.0.1:{ports['HTTPS_PORT']}", verify=verify) as gateway:

            def created() -> bool:
                try:
                    return gateway.post("/items", json={"name": "Desk lamp"}).status_code == 201
                except httpx2.TransportError:
                    return False

            eventually(created, "Envoy passes requests")
            assert gateway.get("/metrics").status_code == 404
    finally:
        compose(folder, "down", "--volumes", "--timeout", "60", engine=engine, **ports)


def test_down_leaves_nothing(
    engine: Any, folder: Path, compose: Callable[..., str], ports: dict[str, str]
) -> None:
    compose(folder, "up", "--detach", "--no-build", "service", engine=engine, **ports)
    compose(folder, "stop", "--timeout", "60", "service", engine=engine, **ports)
    # SIGTERM arrived, be it while Python was starting
    assert containers(engine)["service"]["State"]["ExitCode"] in {0, 143}
    compose(folder, "down", "--volumes", "--timeout", "60", engine=engine, **ports)
    assert engine.run("ps", "--all", "--quiet").stdout == ""
    assert engine.run("network", "ls", "--filter", "type=custom", "--quiet").stdout == ""
    assert engine.run("volume", "ls", "--quiet").stdout == ""


def test_what_is_not_started_here_is_named(folder: Path) -> None:
    import yaml

    services = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services.keys() - STARTED - {"gateway-envoy", "migration"} == ABSENT
