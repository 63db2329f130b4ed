"""Applications and requests by which compiled routes are compared with the framework's own."""

from routed.application import everything, starlette_endpoint
from routed.asks import ASKED, Ask, get, post
from routed.models import RefusedError, shout

__all__ = ["ASKED", "Ask", "RefusedError", "everything", "get", "post", "shout", "starlette_endpoint"]
