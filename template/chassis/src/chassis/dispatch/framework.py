"""Whether the installed framework does what its code says: an instrumentation replaces functions of it."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import fastapi
import starlette
from fastapi import routing as fastapi_routing
from fastapi._compat import v2 as fastapi_fields
from fastapi.dependencies import utils as fastapi_dependencies
from starlette import _exception_handler as starlette_exceptions
from starlette import routing as starlette_routing

__all__ = ["handler_of", "is_untouched", "replaced"]

FOLDERS: Final = tuple(f"{Path(str(package.__file__)).parent}{os.sep}" for package in (fastapi, starlette))

REPLACED: Final = (
    (fastapi_routing.APIRouter, "app matches handle"),
    (fastapi_routing.APIRoute, "matches handle get_route_handler"),
    (fastapi_routing._IncludedRouter, "matches handle _match _handle_selected"),  # noqa: SLF001 - compared, not used
    (fastapi_routing._EffectiveRouteContext, "matches"),  # noqa: SLF001 - as above
    (starlette_routing.Route, "matches handle"),
    (starlette_routing.Mount, "matches"),
    (fastapi_routing, "request_response get_request_handler solve_dependencies run_endpoint_function"),
    (fastapi_routing, "serialize_response run_in_threadpool wrap_app_handling_exceptions jsonable_encoder"),
    (fastapi_dependencies, "solve_dependencies request_params_to_args request_body_to_args"),
    (fastapi_fields.ModelField, "validate serialize serialize_json"),
    (starlette_exceptions, "wrap_app_handling_exceptions"),
)
"""Functions whose work is done here, or which are called from here instead of by the framework."""


def replaced() -> str | None:
    """Return the name of a function that is not the framework's own, None if all are."""
    for owner, names in REPLACED:
        for name in names.split():
            if not is_untouched(vars(owner)[name]):
                return f"{owner.__name__}.{name}"
    return None


def is_untouched(function: object) -> bool:
    """Tell whether a function is the framework's own: a wrapper is none, or has its code somewhere else."""
    return (
        type(function) is FunctionType
        and not hasattr(function, "__wrapped__")
        and function.__code__.co_filename.startswith(FOLDERS)
    )


def handler_of(app: object) -> Mapping[str, Any] | None:
    """Return what FastAPI built the handler of a route from, by name; None if it is not FastAPI's own.

    A route class or an instrumentation that puts something around the handler changes its code.
    """
    request = _closure(app, _inner(fastapi_routing.request_response))
    if request is None:
        return None
    return _closure(request["f"], _inner(fastapi_routing.get_request_handler))


@cache
def _inner(factory: Callable[..., object]) -> CodeType | None:
    constants = factory.__code__.co_consts
    return next((each for each in constants if isinstance(each, CodeType) and each.co_name == "app"), None)


def _closure(function: object, code: CodeType | None) -> Mapping[str, Any] | None:
    if type(function) is not FunctionType or function.__code__ is not code:
        return None
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}
