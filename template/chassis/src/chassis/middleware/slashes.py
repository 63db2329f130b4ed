"""A path with a slash too many or too few leads to the one that exists.

The framework's own redirect holds the ``Host`` header, which anyone may invent: a cache in front of the
service would send every client there. This one holds the path alone (RFC 9110, 10.2.2).
"""

from urllib.parse import quote

from starlette.responses import RedirectResponse
from starlette.routing import Match, Router
from starlette.types import Receive, Scope, Send

__all__ = ["redirect_slashes"]

_PATH_SAFE = "/:@!$&'()*+,;=~"


def redirect_slashes(router: Router) -> None:
    """Have a router answer 307 where only the last slash of a path is wrong, instead of its own redirect."""
    router.redirect_slashes = False
    not_found = router.default

    async def redirect(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        # "//evil.net" would be read as a host.
        if scope["type"] != "http" or not other.strip("/") or other.startswith("//"):
            await not_found(scope, receive, send)
            return
        if all(route.matches({**scope, "path": other})[0] is Match.NONE for route in router.routes):
            await not_found(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        location = quote(other, safe=_PATH_SAFE) + (f"?{query}" if query else "")
        await RedirectResponse(location)(scope, receive, send)

    router.default = redirect
