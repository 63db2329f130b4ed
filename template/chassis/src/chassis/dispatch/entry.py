"""Whether routes can be compiled here, and the application that stands for the router."""

from typing import Final

import fastapi
import pydantic
import starlette
from fastapi import FastAPI
from fastapi.routing import APIRouter
from starlette.types import ASGIApp

from chassis.structured import structlog

__all__ = ["compiled"]

# Read, and compared with the framework's own way by test_differential.py.
KNOWN: Final = ((fastapi, "0.165."), (starlette, "1.10."), (pydantic, "2.14."))


def compiled(app: FastAPI) -> ASGIApp:
    """Return the application to call instead of ``app.router.middleware_stack``.

    Answers, exceptions and what a request finds in its scope are the framework's, with one exception: the
    exit stacks of a route are in the scope only where something can use them. On a version of the framework
    that is not known, and where something replaced parts of it, this is ``app.router.middleware_stack``.
    Routes may be added at any time.
    """
    router = app.router
    reason = _why_not(router)
    if reason is not None:
        structlog.get_logger("chassis.dispatch").info("routes are not compiled", reason=reason)
        return router.middleware_stack

    from chassis.dispatch.dispatcher import Dispatcher

    return Dispatcher(router)


def _why_not(router: APIRouter) -> str | None:
    for package, known in KNOWN:
        if not package.__version__.startswith(known):
            return f"{package.__name__} {package.__version__} is not known"

    # Only now: it imports private names, which another version may not have.
    from chassis.dispatch.framework import replaced

    if (name := replaced()) is not None:
        return f"{name} was replaced"
    if type(router) is not APIRouter or router.middleware_stack != router.app or router.form_limits:
        return "the application's router is not a plain one"
    return None
