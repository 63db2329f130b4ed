"""`traced`: a span around a function's run."""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

from opentelemetry.trace import Span, StatusCode, Tracer, use_span

from chassis.tracing.current import active_tracers, current_tracer
from chassis.tracing.failure import failure_attributes, type_name

P = ParamSpec("P")
R = TypeVar("R")

Facts = dict[str, str | bool | float]


@overload
def traced(name: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def traced(
    name: str | None = None, /, **attributes: str | bool | float
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def traced(name: Any = None, /, **attributes: str | bool | float) -> Any:
    """Run a function in a span of its own: `@traced`, `@traced("charge card")`, `@traced(provider="acme")`.

    For functions, coroutine functions and generators of both kinds; what is sent or thrown into a generator
    reaches it, and what it returns comes back. The name is the function's unless given. An exception is
    recorded, masked, and passes on. Arguments and results are not recorded. When tracing is off the function
    runs as it is, after one look at a list.
    """
    if callable(name):
        return _decorate(name, None, {})
    return lambda function: _decorate(function, name, attributes)


def _decorate(function: Callable[..., Any], name: str | None, attributes: Facts) -> Callable[..., Any]:
    title = name or function.__qualname__
    facts = {"code.function.name": f"{function.__module__}.{function.__qualname__}", **attributes}
    # A coroutine function must stay one: frameworks ask, and run anything else in a thread.
    if inspect.iscoroutinefunction(function):
        return _coroutine_function(function, title, facts)
    if inspect.isasyncgenfunction(function):
        return _async_generator_function(function, title, facts)
    if inspect.isgeneratorfunction(function):
        return _generator_function(function, title, facts)
    return _function(function, title, facts)


def _function(function: Callable[..., Any], name: str, facts: Facts) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not active_tracers or (tracer := current_tracer()) is None:
            return function(*args, **kwargs)
        with _span(tracer, name, facts):
            return function(*args, **kwargs)

    return run


def _coroutine_function(function: Callable[..., Any], name: str, facts: Facts) -> Callable[..., Any]:
    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        if not active_tracers or (tracer := current_tracer()) is None:
            return await function(*args, **kwargs)
        with _span(tracer, name, facts):
            return await function(*args, **kwargs)

    return run


def _generator_function(function: Callable[..., Any], name: str, facts: Facts) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        steps = _Steps(name, facts)
        sent, thrown = None, None
        try:
            while True:
                with steps.step():
                    try:
                        item = generator.send(sent) if thrown is None else generator.throw(thrown)
                    except StopIteration as end:
                        return end.value
                    finally:
                        thrown = None  # its traceback holds this frame
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001  # the function's to answer; a close is one too
                    thrown = error
        finally:
            steps.end()

    return run


def _async_generator_function(function: Callable[..., Any], name: str, facts: Facts) -> Callable[..., Any]:
    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        steps = _Steps(name, facts)
        sent, thrown = None, None
        try:
            while True:
                with steps.step():
                    try:
                        if thrown is None:
                            item = await generator.asend(sent)
                        else:
                            item = await generator.athrow(thrown)
                    except StopAsyncIteration:
                        return
                    finally:
                        thrown = None  # its traceback holds this frame
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001  # the function's to answer; a close is one too
                    thrown = error
        finally:
            steps.end()

    return run


@contextmanager
def _span(tracer: Tracer, name: str, facts: Facts) -> Iterator[None]:
    with (
        tracer.start_as_current_span(
            name, attributes=facts, record_exception=False, set_status_on_exception=False
        ) as span,
        _recording(span),
    ):
        yield


class _Steps:
    """The span of a generator: as long as its life, but current only while its own code runs.

    Between two items other code runs, often in another task, which must not find the generator's span
    current.
    """

    def __init__(self, name: str, facts: Facts) -> None:
        tracer = current_tracer()
        self._span = None if tracer is None else tracer.start_span(name, attributes=facts)

    @contextmanager
    def step(self) -> Iterator[None]:
        if self._span is None:
            yield
            return
        with (
            use_span(self._span, record_exception=False, set_status_on_exception=False),
            _recording(self._span),
        ):
            yield

    def end(self) -> None:
        if self._span is not None:
            self._span.end()


@contextmanager
def _recording(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if span.is_recording():
            span.add_event("exception", failure_attributes(error))
            span.set_attribute("error.type", type_name(error))
            span.set_status(StatusCode.ERROR)
        raise
