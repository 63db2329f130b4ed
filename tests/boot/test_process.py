"""The process of a rendered service: several workers, signals, ports, settings, restarts."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

Start = Callable[..., Any]

LAMP = {"name": "Desk lamp"}
COMMAND = "from chassis.cli import main; main()"
CLIENTS = 8
# Longer than a load balancer needs to see the failing readiness.
DRAIN_DELAY = 0.5


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigterm_under_load_loses_no_request(workers: str, in_memory: Path, start: Start) -> None:
    service = start(in_memory, WORKERS=workers, DRAIN_DELAY=str(DRAIN_DELAY), RATE_LIMITING_ENABLED="false")
    answered: list[int] = []
    lost: list[str] = []
    busy, leaving = asyncio.Event(), asyncio.Event()

    async def client(*, fresh_connections: bool) -> None:
        limits = httpx2.Limits(max_keepalive_connections=0 if fresh_connections else 1)
        async with httpx2.AsyncClient(base_url=service.url, limits=limits, timeout=10) as http:
            while not leaving.is_set():
                try:
                    answered.append((await http.post("/items", json=LAMP)).status_code)
                except httpx2.TransportError as error:
                    lost.append(repr(error))
                if len(answered) > 20 * CLIENTS:
                    busy.set()

    async def load_balancer() -> None:
        async with httpx2.AsyncClient(base_url=service.url, timeout=10) as http:
            while (await http.get("/health/ready", headers={"connection": "close"})).status_code == 200:
                pass
        leaving.set()

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(fresh_connections=number % 2 == 0))
        await busy.wait()
        balancer = group.create_task(load_balancer())
        service.process.send_signal(signal.SIGTERM)
        await balancer
    assert await asyncio.to_thread(service.process.wait, 100) == 0
    assert lost == []
    assert set(answered) == {201}


def test_metrics_add_up_over_workers(in_memory: Path, start: Start) -> None:
    service = start(in_memory, WORKERS="2", RATE_LIMITING_ENABLED="false")
    service.wait_until(lambda: service.output().count('"event":"serving"') == 2, "both workers serve")
    for _ in range(20):
        # A connection of its own each time, so that the system hands them to both workers.
        assert httpx2.get(f"{service.url}/items").status_code == 200

    def scrape() -> int:
        return counted(httpx2.get(f"{service.url}/metrics").text)

    # A worker may see its siblings a second late, and never too many or backwards.
    service.wait_until(lambda: scrape() == 20, "the metrics count every request")
    assert [scrape() for _ in range(10)] == [20] * 10


def counted(text: str) -> int:
    """How many GET /items the metrics count."""
    found = re.search(
        r'^service_requests_total\{method="GET",route="/items",status="200"\} (\d+)', text, re.MULTILINE
    )
    return int(found[1]) if found else 0


def test_a_changed_file_restarts_the_service(template: Path, tmp_path: Path, start: Start) -> None:
    import copier

    folder = tmp_path / "orders"
    copier.run_copy(str(template), folder, data={"service_name": "Orders"}, defaults=True, quiet=True)
    service = start(folder, RELOAD="true")
    router = folder / "src" / "orders" / "items" / "router.py"
    router.write_text(
        router.read_text(encoding="utf-8").replace('prefix="/items"', 'prefix="/things"'), encoding="utf-8"
    )
    service.wait_until(lambda: service.get_status("/things") == 200, "the changed code serves")
    settings = folder / "config" / "service.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    service.wait_until(lambda: service.output().count('"event":"serving"') == 3, "it starts once more")


def test_two_applications_live_in_one_process(in_memory: Path, run: Callable[..., Any]) -> None:
    program = """
import asyncio
from chassis.testing import connect
from orders.app import create_app

async def main():
    async with connect(create_app()) as one, connect(create_app()) as two:
        await one.post("/items", json={"name": "only in one"})
        print(len((await one.get("/items")).json()), len((await two.get("/items")).json()))
        for client in (one, two):
            text = (await client.get("/metrics")).text
            print('method="POST",route="/items"' in text)

asyncio.run(main())
"""
    done = run(in_memory, "-c", program, LOG_LEVEL="ERROR")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0", "True", "False"]


def test_a_port_in_use_is_told_in_one_sentence(in_memory: Path, run: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(in_memory, "-m", "orders", PORT=port)
    assert done.returncode == 1
    assert port in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_every_wrong_setting_is_told_before_the_service_starts(
    in_memory: Path, run: Callable[..., Any]
) -> None:
    done = run(
        in_memory,
        "-m",
        "orders",
        PORT="many",
        RATE_LIMIT_REQUESTS="none",
        ENVIRONMENT="production",
        DEBUG="true",
    )
    assert done.returncode == 78
    for variable in ("PORT", "RATE_LIMIT_REQUESTS", "DEBUG"):
        assert variable in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_nothing_is_read_or_opened_at_import(in_memory: Path, run: Callable[..., Any]) -> None:
    program = "import orders.app, orders.settings, orders.__main__, socket; print('imported')"
    done = run(in_memory, "-c", program, PORT="many", LOG_LEVEL="loud")
    assert done.stdout.strip() == "imported"


def test_migrated_data_survives_a_restart_and_is_shared_by_workers(
    with_database: Path, start: Start, run: Callable[..., Any], tmp_path: Path
) -> None:
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/orders.db", "ENVIRONMENT": "production"}
    migrated = run(with_database, "-m", "chassis.bundles.database", "upgrade", **variables)
    assert migrated.returncode == 0, migrated.stderr
    first = start(with_database, WORKERS="2", **variables)
    item = first.client.post("/items", json=LAMP).json()
    for _ in range(10):
        assert httpx2.get(f"{first.url}/items/{item['id']}").status_code == 200
    assert first.terminate() == 0
    second = start(with_database, **variables)
    assert second.client.get("/items").json() == [item]
    assert "service_db_pool_size" in second.client.get("/metrics").text


def test_production_refuses_the_default_database(with_database: Path, run: Callable[..., Any]) -> None:
    done = run(with_database, "-m", "orders", ENVIRONMENT="production")
    assert done.returncode == 78
    assert "DATABASE_URL" in done.stderr


def test_the_command_shows_where_each_setting_came_from(in_memory: Path, run: Callable[..., Any]) -> None:
    done = run(in_memory, "-c", COMMAND, "config", "show", PORT="8111")
    assert done.returncode == 0, done.stderr
    assert "8111" in done.stdout
    assert "defaults.yaml" in done.stdout
    assert sys.executable not in done.stdout
