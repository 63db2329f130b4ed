"""FastAPI without its outer layers, whose place the request layer takes.

FastAPI puts five layers around its router: they answer exceptions, report them to its telemetry, limit bodies
and close uploaded files. A request on which all goes well gains nothing from them but the files, and they
are a sixth of the instructions of bare FastAPI. So such a request enters the router directly. One that fails
is handed to the framework's own layers after the fact: they see the exception as if it had just passed them,
and answer as ever. Decision 0007 says more.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from operator import attrgetter
from typing import Any, Final

import fastapi
import starlette
from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Inside", "enter", "has_files", "why_not"]

# Read, and compared with bare FastAPI by test_differential.py. Another minor version may have moved into a
# layer what every request needs.
KNOWN_FASTAPI: Final = "0.165."
KNOWN_STARLETTE: Final = "1.10."
KNOWN_LAYERS: Final = (
    "ServerErrorMiddleware",
    "ExceptionTelemetryMiddleware",
    "AppBodyLimitMiddleware",
    "ExceptionMiddleware",
    "AsyncExitStackMiddleware",
)

_FAILURE: Final = "chassis.failure"

has_files: Final[Callable[[AsyncExitStack], bool]] = attrgetter("_exit_callbacks")
"""Whether a stack has anything to close. It has no public name for that, and closing an empty one costs
6 thousand instructions."""


def why_not(app: FastAPI, stack: ASGIApp) -> str | None:
    """Return why the layers of an application have to stay, None if the request layer can take their place.

    ``stack`` is what the framework built: its layers, and those that the application added to them.
    """
    if not fastapi.__version__.startswith(KNOWN_FASTAPI) or not starlette.__version__.startswith(
        KNOWN_STARLETTE
    ):
        return f"FastAPI {fastapi.__version__} and Starlette {starlette.__version__} are not known"
    added = [type(layer).__name__ for layer in _layers(app, stack)]
    for name in KNOWN_LAYERS:
        if name not in added:
            return f"the framework has no {name}"
        added.remove(name)
    return f"the application adds {', '.join(added)}" if added else None


def enter(app: FastAPI, stack: ASGIApp, entry: ASGIApp) -> None:
    """Let requests that have passed the layers of ``stack`` enter ``app`` there instead of at its router."""
    layers = _layers(app, stack)
    # Middleware that keeps the next application under another name hides the router.
    if layers and entry != app.router.middleware_stack and getattr(layers[-1], "app", None) is app.router:
        layers[-1].app = entry


class Inside:
    """The inside of a FastAPI application: what a request enters, and what a failed one is handed to.

    ``entry`` is an ASGI application that stands for the router; by default it is the router itself. ``stack``
    builds the framework's layers. ``handlers`` is what FastAPI's routes expect in the scope.
    """

    def __init__(self, app: FastAPI, stack: Callable[[], ASGIApp], entry: ASGIApp | None = None) -> None:
        # Not the router: calling it only calls this.
        self.entry: ASGIApp = app.router.middleware_stack if entry is None else entry
        self._stack = stack()
        layers = _layers(app, self._stack)
        layers[-1].app = _fail
        self.handlers = next(
            (layer._exception_handlers, layer._status_handlers)  # noqa: SLF001 - read where the version is known
            for layer in layers
            if isinstance(layer, ExceptionMiddleware)
        )

    async def fail(
        self, error: Exception, scope: Scope, receive: Receive, send: Send, *, response_started: bool
    ) -> None:
        """Answer a failed request as the application's exception handlers say.

        Raises what the framework would have raised: what no handler expected, or what went wrong in one.
        """
        scope[_FAILURE] = error, response_started
        # What was started is told to the layers alone: the client knows.
        await self._stack(scope, receive, _nowhere if response_started else send)


async def _fail(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Stand where the router is, with what happened there."""
    error, response_started = scope.pop(_FAILURE)
    if response_started:
        await send({"type": "http.response.start"})
    raise error


async def _nowhere(_: Message) -> None:
    """Send a message to nobody."""


def _layers(app: FastAPI, stack: Any) -> list[Any]:
    """Return the layers around the router, the outermost first."""
    layers = []
    while stack is not None and stack is not app.router:
        layers.append(stack)
        stack = getattr(stack, "app", None)
    return layers
