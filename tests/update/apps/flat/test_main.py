from fastapi.testclient import TestClient
from main import app


def test_a_room_is_found():
    client = TestClient(app)
    assert client.get("/rooms/attic").json() == {"name": "attic", "seats": 4}
    assert client.get("/rooms/roof").json() == {"detail": "no such room"}
