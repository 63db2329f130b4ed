import re
from importlib.util import find_spec

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from chassis.errors import ServiceError
from chassis.security import docs, docs_routes
from chassis.security.docs import DOCS_CONTENT_SECURITY_POLICY


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=docs_routes("/openapi.json", "Orders")), base_url="http://orders")


def references(page: str) -> list[str]:
    return re.findall(r'(?:src|href|data-openapi-url)="([^"]*)"', page)


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_every_asset_of_the_page_is_served_by_the_same_application(client: TestClient) -> None:
    page = client.get("/docs")
    assets = [reference for reference in references(page.text) if reference != "openapi.json"]

    assert len(assets) == 4
    for asset in assets:
        response = client.get(f"/{asset}")
        assert response.status_code == 200
        assert response.content
        assert response.headers["cache-control"] == "public, max-age=3600"


def test_the_assets_have_the_types_that_nosniff_demands(client: TestClient) -> None:
    kinds = {
        asset: client.get(f"/docs/assets/{asset}").headers["content-type"].partition(";")[0]
        for asset in ("swagger-ui-bundle.js", "start.js", "swagger-ui.css", "favicon-32x32.png")
    }

    assert kinds == {
        "swagger-ui-bundle.js": "text/javascript",
        "start.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "favicon-32x32.png": "image/png",
    }


@pytest.mark.parametrize("asked", ["bytes=zz", "bytes=999999999-", "bytes=0-9"])
def test_an_asset_comes_whole_whatever_range_is_asked_for(client: TestClient, asked: str) -> None:
    whole = client.get("/docs/assets/swagger-ui.css")
    response = client.get("/docs/assets/swagger-ui.css", headers={"Range": asked})

    assert (response.status_code, response.content) == (200, whole.content)
    assert whole.headers["accept-ranges"] == "none"


def test_the_page_names_no_other_host_and_works_below_a_prefix(client: TestClient) -> None:
    page = client.get("/docs").text

    assert "//" not in page
    assert all(not reference.startswith("/") for reference in references(page))
    assert "openapi.json" in references(page)


def test_the_policy_allows_what_the_page_loads_and_no_more(client: TestClient) -> None:
    response = client.get("/docs")
    policy = directives(response.headers["content-security-policy"])

    assert response.headers["content-security-policy"] == DOCS_CONTENT_SECURITY_POLICY
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == ["'none'"]


def test_the_page_has_no_inline_script_or_style(client: TestClient) -> None:
    page = client.get("/docs").text

    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert "<style" not in page
    assert not re.search(r"\s(?:style|on[a-z]+)=", page)


def test_the_browser_is_not_sent_to_a_public_validator(client: TestClient) -> None:
    assert "validatorUrl: null" in client.get("/docs/assets/start.js").text


def test_swagger_ui_reads_the_version_that_fastapi_writes(client: TestClient) -> None:
    assert (
        "https://spec.openapis.org/oas/3.1/dialect/base"
        in client.get("/docs/assets/swagger-ui-bundle.js").text
    )


def test_a_title_cannot_add_markup() -> None:
    app = Starlette(routes=docs_routes('/x"><script>', "<script>alert(1)</script>"))

    page = TestClient(app).get("/docs").text

    assert page.count("<script") == 2


def test_no_path_leads_out_of_the_assets(client: TestClient) -> None:
    assert client.get("/docs/assets/..%2Fmain.py").status_code == 404


@pytest.mark.parametrize("name", ["__init__.py", "nothing.js"])
def test_nothing_else_of_the_package_is_served(client: TestClient, name: str) -> None:
    with pytest.raises(ServiceError, match="Not Found"):
        client.get(f"/docs/assets/{name}")


def test_the_package_of_assets_is_not_imported_and_named_when_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docs, "find_spec", lambda name: find_spec(f"{name}_that_is_missing"))

    with pytest.raises(ModuleNotFoundError, match=r"fastapi-swagger.*DOCS_ENABLED=false"):
        docs_routes("/openapi.json", "Orders")
