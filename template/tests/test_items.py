"""Items over HTTP. The fixtures come from chassis.testing."""

from uuid import uuid4

from httpx2 import AsyncClient

from chassis.testing import CapturedLogs, MetricsReader

LAMP = {"name": "Desk lamp", "description": "Warm light"}


async def test_a_created_item_is_found_where_location_says(client: AsyncClient) -> None:
    created = await client.post("/items", json=LAMP)
    assert created.status_code == 201
    assert created.json().items() >= LAMP.items()
    found = await client.get(created.headers["Location"])
    assert found.status_code == 200
    assert found.json() == created.json()


async def test_items_are_listed_in_pages_the_oldest_first(client: AsyncClient) -> None:
    created = [(await client.post("/items", json={"name": f"item {n}"})).json() for n in range(3)]
    assert (await client.get("/items")).json() == created
    assert (await client.get("/items", params={"limit": 1, "offset": 1})).json() == created[1:2]


async def test_an_item_is_replaced(client: AsyncClient) -> None:
    item = (await client.post("/items", json=LAMP)).json()
    replaced = await client.put(f"/items/{item['id']}", json={"name": "Floor lamp"})
    assert replaced.status_code == 200
    assert replaced.json() == {**item, "name": "Floor lamp", "description": ""}
    assert (await client.get(f"/items/{item['id']}")).json() == replaced.json()


async def test_a_deleted_item_is_gone(client: AsyncClient) -> None:
    item = (await client.post("/items", json=LAMP)).json()
    assert (await client.delete(f"/items/{item['id']}")).status_code == 204
    assert (await client.get(f"/items/{item['id']}")).status_code == 404


async def test_an_unknown_item_is_a_problem_with_a_code(client: AsyncClient) -> None:
    for answer in (
        await client.get(f"/items/{uuid4()}"),
        await client.put(f"/items/{uuid4()}", json=LAMP),
        await client.delete(f"/items/{uuid4()}"),
    ):
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "ITEM_NOT_FOUND"


async def test_every_mistake_in_a_draft_is_named(client: AsyncClient) -> None:
    answer = await client.post("/items", json={"name": " ", "colour": "red"})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 2


async def test_a_request_is_logged_and_counted(
    client: AsyncClient, logs: CapturedLogs, metrics: MetricsReader
) -> None:
    grown = metrics.delta("service_requests_total", method="POST", route="/items", status="201")
    created = await client.post("/items", json=LAMP)
    assert grown() == 1
    assert logs.one("request", path="/items")["request_id"] == created.headers["X-Request-ID"]
