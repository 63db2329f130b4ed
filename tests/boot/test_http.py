"""A rendered service over HTTP, started as people start it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]

LAMP = {"name": "Desk lamp", "description": "Warm light"}
WAYS = {
    "python -m": (sys.executable, "-m", "orders"),
    "the console script": (
        sys.executable,
        "-c",
        "import sys; from orders.__main__ import main; sys.exit(main())",
    ),
    "several workers": (sys.executable, "-m", "orders", "--workers", "2"),
    "--reload": (sys.executable, "-m", "orders", "--reload"),
    "uvicorn": (sys.executable, "-m", "uvicorn", "--factory", "orders.app:create_app", "--port", "{port}"),
    "uvicorn with workers": (
        *(sys.executable, "-m", "uvicorn", "--factory", "orders.app:create_app", "--port", "{port}"),
        *("--workers", "2"),
    ),
    "uvicorn with reload": (
        *(sys.executable, "-m", "uvicorn", "--factory", "orders.app:create_app", "--port", "{port}"),
        "--reload",
    ),
}


@pytest.fixture(params=["memory", "database"])
def service(request: pytest.FixtureRequest, in_memory: Path, with_database: Path) -> Path:
    return in_memory if request.param == "memory" else with_database


def test_items_are_created_read_replaced_and_deleted(service: Path, start: Start, tmp_path: Path) -> None:
    client = start(service, DATABASE_URL=f"sqlite:///{tmp_path}/x.db").client
    created = client.post("/items", json=LAMP)
    assert created.status_code == 201
    item = created.json()
    assert client.get(created.headers["location"]).json() == item
    assert client.get("/items").json() == [item]
    replaced = client.put(f"/items/{item['id']}", json={"name": "Floor lamp"})
    assert replaced.json()["name"] == "Floor lamp"
    assert client.delete(f"/items/{item['id']}").status_code == 204
    assert client.get(f"/items/{item['id']}").status_code == 404


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_starting_serves_and_stops(way: str, in_memory: Path, start: Start) -> None:
    service = start(in_memory, *WAYS[way])
    assert service.client.post("/items", json=LAMP).status_code == 201
    assert "service_requests_total" in service.client.get("/metrics").text
    assert "Duplicated timeseries" not in service.output()
    assert service.terminate() in {0, -15}
    assert "Traceback" not in service.output()


def test_health_answers_on_every_path(in_memory: Path, start: Start) -> None:
    client = start(in_memory).client
    for path in ("/health", "/health/live", "/health/ready", "/health/detailed"):
        assert client.get(path).status_code == 200, path


def test_docs_work_with_assets_of_their_own(in_memory: Path, start: Start) -> None:
    client = start(in_memory).client
    page = client.get("/docs")
    assert page.status_code == 200
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert assets
    for asset in assets:
        assert not asset.startswith(("http:", "https:", "//")), asset
        assert client.get(asset).status_code == 200, asset
    assert "/items" in client.get("/openapi.json").json()["paths"]


def test_docs_are_off_in_production(in_memory: Path, start: Start) -> None:
    client = start(in_memory, ENVIRONMENT="production").client
    assert client.get("/docs").status_code == 404
    assert client.get("/openapi.json").status_code == 404


def test_every_error_is_a_problem(in_memory: Path, start: Start) -> None:
    client = start(in_memory, MAX_BODY_BYTES="1000000").client
    for method, path, body, status in (
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/items", None, 405),
        ("POST", "/items", b"{", 422),
        ("POST", "/items", b"{}", 422),
        ("POST", "/items", b"x" * 2_000_000, 413),
    ):
        answer = client.request(method, path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["code"]
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_a_client_over_its_limit_is_told_when_to_come_back(in_memory: Path, start: Start) -> None:
    client = start(in_memory, RATE_LIMIT_REQUESTS="3", RATE_LIMIT_WINDOW="60").client
    answers = [client.get("/items") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"]
    assert answers[0].headers["ratelimit"]
    assert int(answers[3].headers["retry-after"]) > 0
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert client.get("/health/live").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_every_line_of_the_log_is_json_with_the_fixed_fields(in_memory: Path, start: Start) -> None:
    service = start(in_memory, ENVIRONMENT="staging")
    answer = service.client.get("/items")
    request_id = answer.headers["x-request-id"]
    service.wait_until(lambda: request_id in service.output(), "the request is logged")
    assert service.terminate() == 0
    events = service.events()
    for event in events:
        assert {"timestamp", "level", "event", "service", "environment", "logger"} <= event.keys()
        assert (event["service"], event["environment"]) == ("orders", "staging")
    mine = [event for event in events if event.get("request_id") == request_id]
    assert [event["event"] for event in mine] == ["request"]
    assert (mine[0]["method"], mine[0]["route"], mine[0]["status"]) == ("GET", "/items", 200)


def test_operations_move_to_the_management_port(
    in_memory: Path, start: Start, free_port: Callable[[], int]
) -> None:
    port = free_port()
    service = start(in_memory, MANAGEMENT_PORT=str(port))
    for path in ("/metrics", "/health/detailed", "/docs"):
        assert service.client.get(path).status_code == 404, path
        assert service.client.get(f"http://127.0.0.1:{port}{path}").status_code == 200, path
    for path in ("/health", "/health/live", "/health/ready"):
        assert service.client.get(path).status_code == 200, path
        assert service.client.get(f"http://127.0.0.1:{port}{path}").status_code == 200, path
    assert service.client.get("/items").status_code == 200
    assert service.client.get(f"http://127.0.0.1:{port}/items").status_code == 404


def test_metrics_speak_openmetrics_when_asked(in_memory: Path, start: Start) -> None:
    client = start(in_memory).client
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
