"""The threads in which the framework runs plain functions, made ready before a request waits for them."""

from collections.abc import Callable, Iterable, Iterator
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from anyio.lowlevel import checkpoint
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

__all__ = ["prepare_threads"]


async def prepare_threads(routes: Iterable[BaseRoute]) -> None:
    """Import what runs functions in threads, if a route may need it.

    The first such request would wait for that, 8 to 35 ms. A service whose endpoints and dependencies are all
    ``async`` does without, and without its 0.9 MiB.
    """
    if not all(map(_is_async, iter_route_contexts(list(routes)))):
        await checkpoint()


def _is_async(context: RouteContext) -> bool:
    dependant = getattr(context, "dependant", None)
    if not isinstance(dependant, Dependant):
        return _waits(context.endpoint)  # a mounted application has none, and may need threads
    return _waits(dependant.call) and all(
        _waits(call) or isasyncgenfunction(call) for call in _dependencies(dependant)
    )


def _waits(call: Callable[..., Any] | None) -> bool:
    """Tell whether this is an ``async`` function, or an object that is called like one, as ``HTTPBearer()`` is."""
    return iscoroutinefunction(call) or iscoroutinefunction(getattr(type(call), "__call__", None))  # noqa: B004 - it is asked what it is


def _dependencies(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _dependencies(dependency)
