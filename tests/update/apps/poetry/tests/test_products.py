from fastapi.testclient import TestClient

from catalog.main import app


def test_a_product_has_a_title():
    with TestClient(app) as client:
        assert client.get("/products/lamp").json()["title"] == "Desk lamp"
