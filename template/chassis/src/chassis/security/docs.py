"""The API documentation at ``/docs``: Swagger UI, with every asset served by the service itself.

The page works with no internet and under a policy that allows no inline script. All its URLs are relative,
so it also works behind a gateway that adds a path prefix. The assets come from the package
``fastapi-swagger``, which ships the files of Swagger UI and nothing that this module runs.
"""

import html
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from chassis.errors import NotFound

__all__ = ["DOCS_CONTENT_SECURITY_POLICY", "DOCS_PATH", "docs_routes"]

DOCS_PATH: Final = "/docs"
DOCS_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What Swagger UI needs: its own files, pictures inside its style sheet, and calls to this service."""

_PACKAGE: Final = "fastapi_swagger"
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-openapi-url="{openapi_url}"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""
# validatorUrl: the default sends the API description to a public validator.
_START: Final = """"use strict";
SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.openapiUrl,
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null
});
"""
# Long enough for one session, short enough that an upgrade shows the same day.
_CACHE: Final = {"cache-control": "public, max-age=3600"}
_WHOLE: Final = {**_CACHE, "accept-ranges": "none"}


def docs_routes(openapi_url: str, title: str) -> list[BaseRoute]:
    """Return the routes of the documentation page and its assets.

    ``openapi_url`` is the path of the OpenAPI document on the same server. Raises ``ModuleNotFoundError``,
    naming the package to install, when the files of Swagger UI are missing.
    """
    folder = _swagger_files()
    page = _PAGE.format(
        title=html.escape(f"{title} API"), openapi_url=html.escape(openapi_url.removeprefix("/"))
    )

    async def show(_: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": DOCS_CONTENT_SECURITY_POLICY})

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript", headers=_CACHE)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        # Names are looked up and never joined to a path from the client.
        if name not in _ASSETS:
            raise NotFound
        # FileResponse refuses a wrong Range with text of its own. RFC 9110, 14.2: a server may ignore Range.
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
        return FileResponse(folder / name, media_type=_ASSETS[name], headers=_WHOLE)

    return [
        Route(DOCS_PATH, show, include_in_schema=False),
        Route(f"{DOCS_PATH}/assets/start.js", start, include_in_schema=False),
        Route(f"{DOCS_PATH}/assets/{{name}}", asset, include_in_schema=False),
    ]


def _swagger_files() -> Path:
    # Found and not imported: the package's own code would import FastAPI's documentation pages.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "The API documentation needs the package fastapi-swagger: install it, or set DOCS_ENABLED=false."
        )
    return Path(spec.submodule_search_locations[0]) / "resources"
