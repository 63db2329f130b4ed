"""Dependencies of a path operation: what FastAPI's ``solve_dependencies`` does, prepared."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import BackgroundTasks, Response
from fastapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)
from fastapi.dependencies.utils import _solve_generator
from fastapi.security import SecurityScopes
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import Scope

from chassis.dispatch.body import BodyFields
from chassis.dispatch.parameters import Errors, Parameters

__all__ = ["Solved", "Solver"]


@dataclass(slots=True)
class Solved:
    """What the dependencies of one request share."""

    request: Request
    body: Any
    response: Response | None = None
    background: StarletteBackgroundTasks | None = None
    errors: Errors = field(default_factory=list)
    cache: dict[Any, Any] = field(default_factory=dict)


class Solver:
    """Finds the arguments of one function: those of its dependencies, then its own."""

    def __init__(self, dependant: Dependant, *, embed: bool) -> None:
        self._dependant = dependant
        self._dependencies = [_Dependency(each, embed=embed) for each in dependant.dependencies]
        self._parameters = Parameters(dependant)
        self._body = BodyFields(dependant.body_params, embed=embed) if dependant.body_params else None
        self._takes_framework = any(
            (
                dependant.http_connection_param_name,
                dependant.request_param_name,
                dependant.background_tasks_param_name,
                dependant.response_param_name,
                dependant.security_scopes_param_name,
            )
        )

    @property
    def is_plain(self) -> bool:
        """Whether parameters are all there is, so that ``read`` does instead of ``solve``."""
        return not (self._dependencies or self._body or self._takes_framework)

    @property
    def needs_stacks(self) -> bool:
        """Whether something has to be left after the request, or may look at the scope."""
        return self._takes_framework or any(each.needs_stacks for each in self._dependencies)

    @property
    def has_dependencies(self) -> bool:
        """Whether there is anything that ``app.dependency_overrides`` could override."""
        return bool(self._dependencies)

    def read(self, scope: Scope, values: dict[str, Any], errors: Errors) -> None:
        """Read the parameters."""
        self._parameters.read(scope, values, errors)

    async def solve(self, solved: Solved) -> tuple[dict[str, Any], Errors]:
        """Return the arguments, and what is wrong with them."""
        values: dict[str, Any] = {}
        errors: Errors = []
        for each in self._dependencies:
            await each.solve(solved, values, errors)
        self._parameters.read(solved.request.scope, values, errors)
        if self._body is not None:
            await self._body.read(solved.body, values, errors)
        if self._takes_framework:
            self._give(solved, values)
        return values, errors

    def _give(self, solved: Solved, values: dict[str, Any]) -> None:
        dependant = self._dependant
        if name := dependant.http_connection_param_name:
            values[name] = solved.request
        if name := dependant.request_param_name:
            values[name] = solved.request
        if name := dependant.background_tasks_param_name:
            if solved.background is None:
                solved.background = BackgroundTasks()
            values[name] = solved.background
        if name := dependant.response_param_name:
            if solved.response is None:
                solved.response = Response()
                del solved.response.headers["content-length"]
                # Not set: the route's own counts.
                solved.response.status_code = None  # type: ignore[assignment]  # as FastAPI does
            values[name] = solved.response
        if name := dependant.security_scopes_param_name:
            values[name] = SecurityScopes(scopes=_get_oauth_scopes(dependant=dependant))


class _Dependency:
    def __init__(self, dependant: Dependant, *, embed: bool) -> None:
        self._dependant = dependant
        self._solver = Solver(dependant, embed=embed)
        self._call: Callable[..., Any] = dependant.call  # type: ignore[assignment]  # a dependency has one
        self._key = _get_cache_key(dependant=dependant)
        self._is_generator = _is_gen_callable(self._call) or _is_async_gen_callable(self._call)
        self._is_coroutine = _is_coroutine_callable(self._call)
        self.needs_stacks = self._is_generator or self._solver.needs_stacks

    async def solve(self, solved: Solved, values: dict[str, Any], errors: Errors) -> None:
        own, wrong = await self._solver.solve(solved)
        if wrong:
            errors += wrong
            return
        dependant, cache = self._dependant, solved.cache
        if dependant.use_cache and self._key in cache:
            found = cache[self._key]
        elif self._is_generator:
            found = await self._enter(solved.request, own)
        elif dependant.concurrency is None:
            found = await self._run(own)
        else:
            async with dependant.concurrency.get_semaphore():
                found = await self._run(own)
        if dependant.name is not None:
            values[dependant.name] = found
        if self._key not in cache:
            cache[self._key] = found

    async def _run(self, values: dict[str, Any]) -> Any:
        if self._is_coroutine:
            return await self._call(**values)
        return await run_in_threadpool(partial(self._call, **values))

    async def _enter(self, request: Request, values: dict[str, Any]) -> Any:
        function = self._dependant.scope == "function"
        stack: AsyncExitStack = request.scope[
            "fastapi_function_astack" if function else "fastapi_inner_astack"
        ]
        return await _solve_generator(
            dependant=self._dependant, stack=stack, sub_values=values, request=request
        )
