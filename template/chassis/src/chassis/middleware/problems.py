"""Every error as an RFC 9457 problem: the one place where exceptions become responses.

``error_from`` turns any exception into a ``ServiceError``; ``problem_response`` turns that into the response.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from chassis.context import request_id
from chassis.errors import (
    PROBLEM_MEDIA_TYPE,
    InternalError,
    ServiceError,
    ValidationFailed,
    for_status,
    problem_from,
)
from chassis.masking import mask_text

__all__ = [
    "CLIENT_CLOSED_REQUEST",
    "crash_handler",
    "error_from",
    "is_departure",
    "mapped_handler",
    "problem_handlers",
    "problem_response",
]

CLIENT_CLOSED_REQUEST = 499
"""Status in logs and metrics when the client left before an answer; nginx's number, never seen by anybody."""
CRASH = "chassis.crash"
"""Scope key of the exception that a request crashed with: the framework answers before it raises."""
_OF_THE_BODY = frozenset({b"content-type", b"content-length"})

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def error_from(exception: BaseException, *, debug: bool = False) -> ServiceError:
    """Return the error that a client sees for an exception.

    What nobody expected is an ``InternalError`` that says nothing; with ``debug`` it names the exception,
    masked as in the log.
    """
    if isinstance(exception, ServiceError):
        return exception
    if is_departure(exception):
        return for_status(CLIENT_CLOSED_REQUEST)()
    if isinstance(exception, RequestValidationError):
        return ValidationFailed.from_pydantic(exception.errors())
    if isinstance(exception, HTTPException):
        # FastAPI allows any JSON value as a detail; only a text is one in a problem.
        detail: object = exception.detail
        error_type = for_status(exception.status_code)
        if isinstance(detail, str):
            shown = None if detail == error_type.title else detail
            return error_type(shown, headers=exception.headers)
        return error_type(headers=exception.headers, context=detail)
    return InternalError(mask_text(f"{type(exception).__name__}: {exception}") if debug else None)


def problem_response(error: ServiceError, scope: Scope) -> Response:
    """Return the response of an error; a request id is in it wherever one is bound."""
    problem = problem_from(error, instance=scope["path"], request_id=request_id())
    response = Response(problem.to_bytes(), status_code=error.status, media_type=PROBLEM_MEDIA_TYPE)
    response.raw_headers.extend(header for header in error.raw_headers() if header[0] not in _OF_THE_BODY)
    return response


def problem_handlers() -> dict[Any, Handler]:
    """Return handlers for the errors that applications raise on purpose, framework errors included."""
    return {
        ServiceError: _answer,
        HTTPException: _answer_http,
        RequestValidationError: _answer,
        ClientDisconnect: _answer,
    }


def crash_handler(*, debug: bool) -> Handler:
    """Return the handler for what nobody expected; the request layer logs it, the client learns an id."""

    async def answer(request: Request, crash: Exception) -> Response:
        request.scope[CRASH] = crash
        return problem_response(error_from(crash, debug=debug), request.scope)

    return answer


def is_departure(exception: BaseException) -> bool:
    """Tell whether the client left.

    FastAPI calls that a body it cannot parse, and Starlette an error that came too late for its handler.
    """
    if isinstance(exception, HTTPException | RuntimeError):
        exception = exception.__cause__ or exception
    return isinstance(exception, ClientDisconnect)


def mapped_handler(to_error: Callable[[Exception], ServiceError]) -> Handler:
    """Return a handler for an exception that a bundle knows the meaning of."""

    async def answer(request: Request, exception: Exception) -> Response:
        return problem_response(to_error(exception), request.scope)

    return answer


async def _answer(request: Request, exception: Exception) -> Response:
    return problem_response(error_from(exception), request.scope)


async def _answer_http(request: Request, exception: HTTPException) -> Response:
    # 204, 304 and the like have no body: RFC 9110, 6.4.1; only errors are problems.
    if exception.status_code < 400:  # noqa: PLR2004
        return Response(status_code=exception.status_code, headers=dict(exception.headers or {}))
    return await _answer(request, exception)
