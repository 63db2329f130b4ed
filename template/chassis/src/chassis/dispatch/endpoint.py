"""Path operations, compiled: parameters, function and response, without what the operation cannot use."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import _is_async_gen_callable, _is_gen_callable
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.routing import _extract_endpoint_context, request_response, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import ValidationError
from pydantic_core import SchemaSerializer
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.dispatch.body import MISSING, read_body
from chassis.dispatch.framework import handler_of
from chassis.dispatch.parameters import Errors, located, validator_of
from chassis.dispatch.solving import Solved, Solver

__all__ = ["compile_endpoint"]

OK: Final = 200
JSON: Final = (b"content-type", b"application/json")


def compile_endpoint(app: ASGIApp) -> ASGIApp:
    """Return an application that answers as a route's ``app`` does, or that one itself.

    Forms, streams and all that is not FastAPI's own handler stay as they are.
    """
    built = handler_of(app)
    if built is None or built["is_body_form"] or built["is_sse_stream"] or built["is_json_stream"]:
        return app
    call = built["dependant"].call
    if _is_gen_callable(call) or _is_async_gen_callable(call):
        return app
    endpoint = _Endpoint(built)
    compiled: ASGIApp = endpoint
    if endpoint.solver.needs_stacks:
        compiled = request_response(endpoint.handle)
    overrides = built["dependency_overrides_provider"]
    if not endpoint.solver.has_dependencies or overrides is None:
        return compiled

    def overridable(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (app if overrides.dependency_overrides else compiled)(scope, receive, send)

    return overridable


class _Endpoint:
    """A path operation without streams and forms. ``built`` is what FastAPI's handler was built from."""

    def __init__(self, built: Mapping[str, Any]) -> None:
        self._dependant = built["dependant"]
        self.solver = Solver(self._dependant, embed=built["embed_body_fields"])
        self._is_plain = self.solver.is_plain and not built["body_field"]
        self._has_body = bool(built["body_field"])
        self._strict = built["actual_strict_content_type"]
        self._call: Callable[..., Any] = self._dependant.call
        self._is_coroutine = built["is_coroutine"]
        self._status: int | None = built["status_code"]
        self._field = built["response_field"]
        self._response_class = built["actual_response_class"]
        self._shape = {
            name: built[f"response_model_{name}"]
            for name in (
                "include",
                "exclude",
                "by_alias",
                "exclude_unset",
                "exclude_defaults",
                "exclude_none",
            )
        }
        # FastAPI's own fast path: bytes from pydantic, where nobody asked for another class.
        self._is_json = self._field is not None and isinstance(built["response_class"], DefaultPlaceholder)
        # Then nothing but bytes is needed, and no response that would hold them. FastAPI lets no route have a
        # model whose status allows no body.
        self._is_direct = self._is_json and self._is_coroutine
        if self._is_direct:
            self._validate, self._dump = validator_of(self._field), _dump_of(self._field, self._shape)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of which nothing has to be left: the exit stacks take 19 thousand instructions."""
        started = False
        request: Request | None = None
        try:
            if self._is_plain:
                values = self._read(scope)
            else:
                request = Request(scope, receive, send)
                values = await self._solve(Solved(request, await self._body(request)))
            if self._is_coroutine:
                raw = await self._call(**values)
            else:
                raw = await run_in_threadpool(partial(self._call, **values))
            if self._is_direct and not isinstance(raw, Response):
                content = self._content(scope, raw)
                headers = [(b"content-length", b"%d" % len(content)), JSON]
                started = True
                await send({"type": "http.response.start", "status": self._status or OK, "headers": headers})
                await send({"type": "http.response.body", "body": content})
                return
            response = await self._respond(scope, raw, None)
        except Exception as error:  # noqa: BLE001 - the framework's handlers decide
            await _fail(error, request or Request(scope, receive, send), send, started=started)
            return
        await wrap_app_handling_exceptions(response, request or Request(scope, receive, send))(
            scope, receive, send
        )

    async def handle(self, request: Request) -> Response:
        """Serve a request inside FastAPI's exit stacks."""
        solved = Solved(request, await self._body(request))
        values = await self._solve(solved)
        if self._is_coroutine:
            raw = await self._call(**values)
        else:
            raw = await run_in_threadpool(partial(self._call, **values))
        return await self._respond(request.scope, raw, solved)

    def _read(self, scope: Scope) -> dict[str, Any]:
        values: dict[str, Any] = {}
        errors: Errors = []
        self.solver.read(scope, values, errors)
        if errors:
            raise self._refusal(scope, errors, MISSING)
        return values

    async def _body(self, request: Request) -> Any:
        if not self._has_body:
            return MISSING
        return await read_body(request, strict=self._strict, context=partial(self._context, request.scope))

    async def _solve(self, solved: Solved) -> dict[str, Any]:
        values, errors = await self.solver.solve(solved)
        if errors:
            raise self._refusal(solved.request.scope, errors, solved.body)
        return values

    async def _respond(self, scope: Scope, raw: Any, solved: Solved | None) -> Response:
        """Return the response, and what dependencies asked for beside it."""
        background = None if solved is None else solved.background
        if isinstance(raw, Response):
            if raw.background is None:
                raw.background = background
            return raw
        given = None if solved is None else solved.response
        arguments: dict[str, Any] = {"background": background}
        status = self._status or (None if given is None else given.status_code)
        if status is not None:
            arguments["status_code"] = status
        if given is not None and given.status_code:
            arguments["status_code"] = given.status_code
        if self._is_direct:
            content: Any = self._content(scope, raw)
        else:
            content = await serialize_response(
                field=self._field,
                response_content=raw,
                **self._shape,
                is_coroutine=self._is_coroutine,
                endpoint_ctx=self._context(scope),
                dump_json=self._is_json,
            )
        if self._is_json:
            response = Response(content=content, media_type="application/json", **arguments)
        else:
            response = self._response_class(content, **arguments)
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        if given is not None:
            response.headers.raw.extend(given.headers.raw)
        return response

    def _content(self, scope: Scope, raw: Any) -> bytes:
        """Return what ``serialize_response`` does."""
        try:
            value = self._validate(raw)
        except ValidationError as error:
            wrong = located(error, ("response",))
        else:
            return self._dump(value)
        raise ResponseValidationError(errors=wrong, body=raw, endpoint_ctx=self._context(scope))

    def _refusal(self, scope: Scope, errors: Errors, body: Any) -> RequestValidationError:
        return RequestValidationError(
            errors, body=None if body is MISSING else body, endpoint_ctx=self._context(scope)
        )

    def _context(self, scope: Scope) -> Any:
        """Return where an error happened."""
        context = _extract_endpoint_context(self._call)
        if self._dependant.path:
            mounted = scope.get("root_path", "").rstrip("/")
            context["path"] = f"{scope['method']} {mounted}{self._dependant.path}"
        return context


def _dump_of(field: Any, shape: Mapping[str, Any]) -> Callable[[Any], bytes]:
    """Return what makes JSON of a validated value; only what differs from pydantic's defaults is passed."""
    adapter = field._type_adapter  # noqa: SLF001 - where FastAPI has it
    asked = {name: value for name, value in shape.items() if name == "by_alias" or value not in (None, False)}
    exact = type(adapter.serializer) is SchemaSerializer
    return partial(adapter.serializer.to_json if exact else adapter.dump_json, **asked)


async def _fail(error: Exception, request: Request, send: Send, *, started: bool) -> None:
    """Let the framework answer an exception, as if it had just been raised inside it."""

    async def again(_scope: Scope, _receive: Receive, send: Send) -> None:
        if started:
            await send({"type": "http.response.start"})
        raise error

    wrapped = wrap_app_handling_exceptions(again, request)
    await wrapped(request.scope, request.receive, _nowhere if started else send)


async def _nowhere(_: Message) -> None:
    """Send a message to nobody."""
