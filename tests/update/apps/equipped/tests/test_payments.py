def test_a_payment_has_a_currency(client):
    response = client.get("/payments/7", headers={"Origin": "https://shop.example.com"})
    assert response.json() == {"number": 7, "currency": "CHF"}
    assert response.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert "x-took" in response.headers


def test_a_wrong_number_is_refused_in_words(client):
    assert client.get("/payments/0").json() == {"error": "numbers begin at 1"}
