"""The stack that teams usually put around FastAPI, each piece used as its own README shows it.

Metrics, correlation id, security headers, an access line by structlog over the standard library, a rate limit
and CORS: what the chassis does, but for masking, problem details and tracing.
"""

import logging
import sys
from time import perf_counter
from typing import Any

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'",
    "Permissions-Policy": "geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def usual_stack(app: FastAPI) -> FastAPI:
    """Put the stack around an application."""
    _configure_logging()
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["1000000000/minute"])
    app.add_middleware(SlowAPIMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(CORSMiddleware, allow_origins=["https://example.com"])
    app.add_middleware(CorrelationIdMiddleware)
    Instrumentator().instrument(app)
    return app


class SecurityHeadersMiddleware(BaseHTTPMiddleware):
    """Adds seven headers."""

    @override
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer with the headers."""
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response


class AccessLogMiddleware(BaseHTTPMiddleware):
    """Writes a line for each request."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._log = structlog.stdlib.get_logger("access")

    @override
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer, then log."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        began = perf_counter()
        response = await call_next(request)
        self._log.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            duration_ms=round((perf_counter() - began) * 1000, 3),
            client=request.client.host if request.client else None,
            user_agent=request.headers.get("user-agent"),
        )
        return response


def _configure_logging() -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
