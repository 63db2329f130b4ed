"""A wrapped application as a real process, started as docs/how-to/wrap-another-application.md says."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

Start = Callable[..., Any]

APPLICATION = """\
from a2wsgi import WSGIMiddleware
from flask import Flask

from chassis.service_settings import ServiceSettings
from chassis.settings import load
from chassis.wrapping import Wrapped, flask_templates, wrap

app = Flask("shop")
app.add_url_rule("/orders/<int:number>", view_func=lambda number: {"order": number}, endpoint="order")


class Settings(ServiceSettings):
    pass


def create_app(settings: Settings | None = None) -> Wrapped:
    inside = WSGIMiddleware(app, workers=20)
    return wrap(inside, settings or load(Settings), templates=flask_templates(app))
"""
MAIN = """\
from chassis.server import main
from shop.app import Settings

if __name__ == "__main__":
    raise SystemExit(main("shop.app:create_app", Settings))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A Flask application inside the layer."""
    folder = tmp_path / "shop"
    for name, text in (("__init__", ""), ("app", APPLICATION), ("__main__", MAIN)):
        file = folder / "src" / "shop" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def test_the_server_of_the_chassis_serves_it_as_every_service(
    shop: Path, start: Start, free_port: Callable[[], int]
) -> None:
    port = free_port()
    service = start(shop, sys.executable, "-m", "shop", WORKERS="2", MANAGEMENT_PORT=str(port))
    service.wait_until(lambda: service.output().count('"event":"serving"') == 2, "both workers serve")
    answer = service.client.get("/orders/7")
    assert answer.json() == {"order": 7}
    assert answer.headers["x-request-id"]
    assert service.client.get("/metrics").status_code == 404
    assert 'service="service"' in httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    assert service.terminate() == 0
    # The workers, and the process above them.
    assert [event["event"] for event in service.events()].count("draining") == 2 + 1


def test_another_server_serves_it_too(shop: Path, start: Start) -> None:
    command = (sys.executable, "-m", "uvicorn", "--factory", "shop.app:create_app", "--port", "{port}")
    service = start(shop, *command)
    answer = service.client.get("/orders/7")
    assert answer.json() == {"order": 7}
    assert answer.headers["x-request-id"]
    assert 'route="/orders/<int:number>"' in service.client.get("/metrics").text
