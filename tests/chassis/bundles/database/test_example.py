"""The example of a rendered service, stored through the bundle: its models, its migration, its HTTP."""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.app import create_app
from chassis.bundles.database import Base, Database, DatabaseSettings, assert_models_match_migrations
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import ServiceSettings
from chassis.testing.client import connect

TEMPLATE = Path(__file__).parents[4] / "template"
ITEMS = TEMPLATE / "src" / "{{package_name}}" / "items"


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    """The router of the example as it is rendered when the database is chosen."""
    source = tmp_path_factory.mktemp("src")
    package = source / "database_example" / "items"
    package.mkdir(parents=True)
    for file in ITEMS.iterdir():
        conditional = re.fullmatch(r"{% if 'database' (not )?in bundles %}(.+){% endif %}", file.name)
        if conditional is None and file.is_file():
            shutil.copy(file, package)
        elif conditional is not None and conditional[1] is None:
            shutil.copy(file, package / conditional[2])
    sys.path.append(str(source))
    yield import_module("database_example.items.router").router
    sys.path.remove(str(source))
    Base.metadata.clear()


@pytest.fixture
def example_settings(url):
    return DatabaseSettings(url=url, migrations=TEMPLATE / "migrations", migrate_on_start=True)


@pytest.fixture
async def client(router, example_settings):
    settings = ServiceSettings(rate_limiting=RateLimitSettings(enabled=False))
    async with connect(
        create_app(settings, bundles=[Database(example_settings)], routers=[router])
    ) as client:
        yield client


def test_models_and_migrations_agree(router, example_settings):
    assert_models_match_migrations(example_settings)


async def test_item_lives_in_the_database(client):
    created = await client.post("/items", json={"name": "Desk lamp"})
    assert created.status_code == 201
    item = created.json()
    assert item["created_at"].endswith("Z")
    assert (await client.get(created.headers["location"])).json() == item

    replaced = await client.put(f"/items/{item['id']}", json={"name": "Lamp", "description": "Bright"})
    assert replaced.json() == {**item, "name": "Lamp", "description": "Bright"}
    assert (await client.get(f"/items/{item['id']}")).json() == replaced.json()

    assert (await client.delete(f"/items/{item['id']}")).status_code == 204
    assert (await client.get(f"/items/{item['id']}")).status_code == 404


async def test_items_are_listed_oldest_first(client):
    for name in ("a", "b", "c"):
        await client.post("/items", json={"name": name})
    page = (await client.get("/items", params={"limit": 2, "offset": 1})).json()
    assert [item["name"] for item in page] == ["b", "c"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_unknown_item_is_a_404_with_its_code(client, method):
    body = {"json": {"name": "Lamp"}} if method == "PUT" else {}
    response = await client.request(method, f"/items/{uuid4()}", **body)
    assert response.status_code == 404
    assert response.json()["code"] == "ITEM_NOT_FOUND"
