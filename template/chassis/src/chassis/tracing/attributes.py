"""What a request's span is called and what it tells: OpenTelemetry's conventions for HTTP servers.

Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

SERVER_ERROR = 500

# RFC 9110, section 9, and PATCH of RFC 5789. A stranger's method is no part of a span's name.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def name_of(method: str, route: str | None) -> str:
    """Return the method and the route template; one that matched none, the method alone."""
    known = method if method in _METHODS else "HTTP"
    return f"{known} {route}" if route else known


def attributes_of(
    method: str, route: str | None, status: int | None, scheme: str, failure: str | None = None
) -> dict[str, str | int]:
    """Return the attributes that many requests have in common; ``failure`` is the class of an exception."""
    attributes: dict[str, str | int] = {"http.request.method": method, "url.scheme": scheme}
    if method not in _METHODS:
        attributes["http.request.method"] = "_OTHER"
        attributes["http.request.method_original"] = method
    if route is not None:
        attributes["http.route"] = route
    if status is not None:
        attributes["http.response.status_code"] = status
    if failure is not None or (status or 0) >= SERVER_ERROR:
        attributes["error.type"] = failure or str(status)
    return attributes
