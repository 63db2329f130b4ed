"""The errors of a service; ``chassis.errors`` draws the tree."""
# ruff: noqa: N818 - the classes carry the names HTTP gives their statuses

import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar, Final

from typing_extensions import override

from chassis.errors.text import header_bytes
from chassis.errors.validation import MOST_FIELD_ERRORS, NOT_JSON, FieldError, field_errors

__all__ = [
    "BadGateway",
    "BadRequest",
    "Conflict",
    "ContentTooLarge",
    "Forbidden",
    "GatewayTimeout",
    "InternalError",
    "MethodNotAllowed",
    "NotFound",
    "ServiceError",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "ValidationFailed",
    "for_status",
]

# HTTPStatus says these differently before Python 3.13; the names are those of RFC 9110.
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a Teapot",
    422: "Unprocessable Content",
}
_ERROR_STATUSES: Final = range(400, 600)
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def _phrase(status: int) -> str:
    if status in _PHRASES:
        return _PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"


class ServiceError(Exception):
    """An error whose detail is written for the client.

    A subclass may set ``code``, ``status``, ``title``, ``default_detail`` and ``problem_type``. One that sets
    only a code gets its title and its type from it. A bad code or status is a ``TypeError`` when the class is
    defined.

    ``headers`` are added to the response, but for ``Content-Type`` and ``Content-Length``: those are the
    problem's own. ``extensions`` become further members of the problem; a name that
    RFC 9457 or this module defines (``status``, ``code``, ...) is ignored there, so that no caller can
    contradict the response.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    title: ClassVar[str] = "Internal Server Error"
    default_detail: ClassVar[str | None] = None
    problem_type: ClassVar[str] = "about:blank"

    def __init__(
        self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **extensions: object
    ) -> None:
        super().__init__(detail)
        self.detail = self.default_detail if detail is None else detail
        self.headers = dict(headers or {})
        self.extensions = extensions

    @override
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.status not in _ERROR_STATUSES:
            raise TypeError(f"{cls.__name__}.status must be an error status, 400 to 599.")
        if not _CODE.fullmatch(cls.code):
            raise TypeError(f"{cls.__name__}.code must be written in upper case, as WORKFLOW_NOT_FOUND is.")
        own = cls.__dict__
        if "code" in own and "title" not in own:
            cls.title = cls.code.replace("_", " ").capitalize()
        if "problem_type" not in own and ("code" in own or "title" in own):
            cls.problem_type = (
                # RFC 9457, 4.2.1: about:blank when the problem says no more than the status does.
                "about:blank"
                if cls.title == _phrase(cls.status)
                else f"urn:problem-type:{cls.code.replace('_', '-').lower()}"
            )

    @override
    def __str__(self) -> str:
        return self.title if self.detail is None else str(self.detail)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI sends them; no value can start a new line."""
        return [(header_bytes(name).lower(), header_bytes(value)) for name, value in self.headers.items()]


class BadRequest(ServiceError):
    """400: the request cannot be understood."""

    status = 400
    code = "BAD_REQUEST"
    title = "Bad Request"


class Unauthorized(ServiceError):
    """401: the client is not known. RFC 9110 requires the challenge."""

    status = 401
    code = "UNAUTHORIZED"
    title = "Unauthorized"

    def __init__(
        self,
        detail: str | None = None,
        *,
        challenge: str = "Bearer",
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(
            detail, headers=_unless_given({"WWW-Authenticate": challenge}, headers), **extensions
        )


class Forbidden(ServiceError):
    """403: the client is known and may not do this."""

    status = 403
    code = "FORBIDDEN"
    title = "Forbidden"


class NotFound(ServiceError):
    """404: there is no such thing, or the client may not know of it."""

    status = 404
    code = "NOT_FOUND"
    title = "Not Found"


class MethodNotAllowed(ServiceError):
    """405: the path exists, the method does not. RFC 9110 requires the list of those that do."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    title = "Method Not Allowed"

    def __init__(
        self,
        detail: str | None = None,
        *,
        allow: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(detail, headers=_unless_given({"Allow": ", ".join(allow)}, headers), **extensions)


class Conflict(ServiceError):
    """409: the request does not fit the present state."""

    status = 409
    code = "CONFLICT"
    title = "Conflict"


class ContentTooLarge(ServiceError):
    """413: the body is larger than the service accepts."""

    status = 413
    code = "CONTENT_TOO_LARGE"
    title = "Content Too Large"


class ValidationFailed(ServiceError):
    """422: fields of the request are wrong; every one of them is listed."""

    status = 422
    code = "VALIDATION_FAILED"
    title = "Validation Failed"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(detail, headers=headers, **extensions)
        self.errors = list(errors)

    @classmethod
    def from_pydantic(cls, found: Sequence[Mapping[str, object]]) -> "ValidationFailed":
        """Build it from ``errors()`` of a pydantic or FastAPI validation error.

        Pydantic's own messages repeat no value that was sent. In a validator's own text ``***`` takes the place
        of a text or number of three characters or more; what a model's validator says is repeated whole. At
        most ``MOST_FIELD_ERRORS`` are listed; the detail says how many there are.
        """
        count = len(found)
        detail = "1 field is wrong." if count == 1 else f"{count} fields are wrong."
        if any(error.get("type") == NOT_JSON for error in found):
            detail = "The body is not JSON."
        if count > MOST_FIELD_ERRORS:
            detail = f"{detail} The first {MOST_FIELD_ERRORS} are listed."
        return cls(detail, errors=field_errors(found))


class _Retryable(ServiceError):
    """An error that passes; ``retry_after`` is in seconds and is rounded up."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        wait = {} if retry_after is None else {"Retry-After": str(max(0, math.ceil(retry_after)))}
        super().__init__(detail, headers=_unless_given(wait, headers), **extensions)
        self.retry_after = retry_after


class TooManyRequests(_Retryable):
    """429: the client sent more than its share. ``retry_after`` is in seconds."""

    status = 429
    code = "TOO_MANY_REQUESTS"
    title = "Too Many Requests"


class InternalError(ServiceError):
    """500: the service failed, and says no more than that."""

    status = 500
    code = "INTERNAL_ERROR"
    title = "Internal Server Error"
    default_detail = "The service failed to answer this request. Its logs name the cause by the request id."


class BadGateway(ServiceError):
    """502: a service that this one needs gave a bad answer."""

    status = 502
    code = "BAD_GATEWAY"
    title = "Bad Gateway"


class Unavailable(_Retryable):
    """503: the service, or one that it needs, cannot answer now. ``retry_after`` is in seconds."""

    status = 503
    code = "UNAVAILABLE"
    title = "Service Unavailable"


class GatewayTimeout(ServiceError):
    """504: a service that this one needs did not answer in time."""

    status = 504
    code = "GATEWAY_TIMEOUT"
    title = "Gateway Timeout"


def for_status(status: int) -> type[ServiceError]:
    """Return the error class of an HTTP status.

    A status without a class of its own gets a generic one, the same at every call: 418 has the code
    ``IM_A_TEAPOT``, 499 the code ``HTTP_499``. Anything outside 400 to 599 is no error status and gives
    ``InternalError``.
    """
    if status not in _ERROR_STATUSES:
        return InternalError
    return _BY_STATUS.get(status) or _generic(status)


_BY_STATUS: Final[dict[int, type[ServiceError]]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        ContentTooLarge,
        ValidationFailed,
        TooManyRequests,
        InternalError,
        BadGateway,
        Unavailable,
        GatewayTimeout,
    )
}


@functools.cache
def _generic(status: int) -> type[ServiceError]:
    title = _phrase(status)
    code = re.sub(r"\W+", "_", title.replace("'", "")).upper()
    return type(
        f"Http{status}", (ServiceError,), {"status": status, "code": code, "title": title, "__doc__": title}
    )


def _unless_given(own: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Add the headers an error has by itself to the given ones; names are compared as HTTP does."""
    headers = dict(given or {})
    names = {name.lower() for name in headers}
    return {**{name: value for name, value in own.items() if name.lower() not in names}, **headers}
