"""The `traced` decorator."""

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from chassis.tracing import Tracing, TracingSettings, traced
from chassis.tracing.current import active_tracers


class Collected(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch):
    """Tracing is on; the function returns the ended spans."""
    collected = Collected()
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: lambda: collected)
    tracing = Tracing(TracingSettings(enabled=True), service="orders", version="1", environment="test")
    tracing.start()

    def spans() -> list[ReadableSpan]:
        assert tracing.provider.force_flush()
        return collected.spans

    yield spans
    await tracing.shutdown()


@pytest.fixture(params=[False, True], ids=["off", "on"])
async def off_and_on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Tracing is off, then on: what a generator does must not depend on it."""
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: Collected)
    tracing = Tracing(
        TracingSettings(enabled=request.param), service="orders", version="1", environment="test"
    )
    tracing.start()
    yield
    await tracing.shutdown()


@traced
def add(one: int, other: int) -> int:
    """Add."""
    return one + other


@traced("add slowly", speed=0.5)
async def add_slowly(one: int, other: int) -> int:
    await asyncio.sleep(0)
    return one + other


@traced
def count(to: int) -> Iterator[int]:
    yield from range(to)


@traced()
async def count_slowly(to: int) -> AsyncIterator[int]:
    for number in range(to):
        await asyncio.sleep(0)
        yield number


async def use_all() -> list[object]:
    return [add(1, 2), await add_slowly(1, 2), list(count(3)), [number async for number in count_slowly(3)]]


EXPECTED = [3, 3, [0, 1, 2], [0, 1, 2]]


async def test_off_functions_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert active_tracers == []
    monkeypatch.setattr("chassis.tracing.current.get_value", None)  # whoever looked further would call it
    assert await use_all() == EXPECTED


async def test_on_each_run_is_a_span(told) -> None:
    assert await use_all() == EXPECTED
    spans = told()
    assert [span.name for span in spans] == ["add", "add slowly", "count", "count_slowly"]
    assert dict(spans[1].attributes) == {"code.function.name": f"{__name__}.add_slowly", "speed": 0.5}
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}


def test_a_function_keeps_its_kind_name_and_documentation() -> None:
    assert inspect.iscoroutinefunction(add_slowly)
    assert inspect.isgeneratorfunction(count)
    assert inspect.isasyncgenfunction(count_slowly)
    assert not inspect.iscoroutinefunction(add)
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert list(inspect.signature(add).parameters) == ["one", "other"]


async def test_runs_inside_runs_are_children(told) -> None:
    @traced("outer")
    async def outer() -> int:
        return add(1, await add_slowly(1, 1))

    assert await outer() == 3
    inner, sibling, parent = told()
    assert parent.name == "outer"
    assert {inner.parent.span_id, sibling.parent.span_id} == {parent.context.span_id}


async def test_an_exception_is_recorded_masked_and_passes_on(told) -> None:
    @traced
    def fail() -> None:
        raise LookupError("no customer alice@example.com")

    @traced
    async def fail_slowly() -> None:
        fail()

    with pytest.raises(LookupError, match="alice"):
        await fail_slowly()
    for span in told():
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "LookupError"
        assert [event.name for event in span.events] == ["exception"]
        assert "alice@example.com" not in str(dict(span.events[0].attributes))


async def test_a_generator_that_fails_records_it(told) -> None:
    @traced
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    @traced
    async def fail_slowly() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(fail())
    with pytest.raises(ValueError, match="no"):
        [item async for item in fail_slowly()]
    assert [span.status.status_code for span in told()] == [StatusCode.ERROR] * 2


async def test_a_cancelled_run_is_no_error(told) -> None:
    entered = asyncio.Event()

    @traced
    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [span.status.status_code for span in told()] == [StatusCode.UNSET]


async def test_a_generators_span_is_current_in_it_and_not_between_its_items(told) -> None:
    @traced
    async def inside() -> AsyncIterator[int]:
        yield trace.get_current_span().get_span_context().span_id
        yield trace.get_current_span().get_span_context().span_id

    generator = inside()
    first = await anext(generator)
    assert not trace.get_current_span().get_span_context().is_valid
    assert [first] == [item async for item in generator] != [0]
    assert told()[0].context.span_id == first


async def test_a_generator_that_is_left_early_ends_its_span_and_closes(told) -> None:
    closed = []

    @traced
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("sync")

    @traced
    async def numbers_slowly() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("async")

    generator = numbers()
    assert next(generator) == 1
    generator.close()
    slow = numbers_slowly()
    assert await anext(slow) == 1
    await slow.aclose()
    assert closed == ["sync", "async"]
    assert [span.name.rpartition(".")[2] for span in told()] == ["numbers", "numbers_slowly"]


@pytest.mark.usefixtures("off_and_on")
@pytest.mark.parametrize(("path", "outcome"), [("/fine", "commit"), ("/wrong", "rollback")])
async def test_a_dependency_learns_how_its_endpoint_ended(path: str, outcome: str) -> None:
    notes: list[str] = []

    @traced
    def transaction() -> Iterator[None]:
        try:
            yield
        except ValueError:
            notes.append("rollback")
            raise
        else:
            notes.append("commit")

    @traced
    async def slow_transaction() -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            notes.append("rollback slowly")
            raise
        else:
            notes.append("commit slowly")

    app = FastAPI()
    both = [Depends(transaction), Depends(slow_transaction)]

    @app.get("/fine", dependencies=both)
    async def fine() -> None: ...

    @app.get("/wrong", dependencies=both)
    async def wrong() -> None:
        raise ValueError("no")

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get(path)
    assert notes == [f"{outcome} slowly", outcome]


@pytest.mark.usefixtures("off_and_on")
async def test_what_is_sent_to_a_generator_arrives_and_what_it_returns_comes_back() -> None:
    @traced
    def ask() -> Generator[str, int, int]:
        return (yield "one") + (yield "two")

    generator = ask()
    assert (next(generator), generator.send(40)) == ("one", "two")
    with pytest.raises(StopIteration) as end:
        generator.send(2)
    assert end.value.value == 42


@pytest.mark.usefixtures("off_and_on")
async def test_what_is_sent_to_an_asynchronous_generator_arrives() -> None:
    @traced
    async def echo() -> AsyncGenerator[int, int]:
        heard = 0
        while heard != 42:
            heard = yield heard

    generator = echo()
    assert [await anext(generator), await generator.asend(7)] == [0, 7]
    with pytest.raises(StopAsyncIteration):
        await generator.asend(42)


@pytest.mark.usefixtures("off_and_on")
async def test_what_is_thrown_into_a_generator_can_be_answered_or_passes_as_it_is() -> None:
    @traced
    def stubborn() -> Iterator[str]:
        try:
            yield "first"
        except LookupError:
            yield "still here"

    @traced
    async def stubborn_slowly() -> AsyncIterator[str]:
        try:
            yield "first"
        except LookupError:
            yield "still here"

    error = ValueError("no")
    generator: Any = stubborn()
    assert (next(generator), generator.throw(LookupError())) == ("first", "still here")
    with pytest.raises(ValueError, match="no") as raised:
        generator.throw(error)
    assert raised.value is error
    slow: Any = stubborn_slowly()
    assert [await anext(slow), await slow.athrow(LookupError())] == ["first", "still here"]
    with pytest.raises(ValueError, match="no") as raised:
        await slow.athrow(error)
    assert raised.value is error


@pytest.mark.usefixtures("off_and_on")
async def test_a_generator_that_does_not_let_itself_be_closed_is_told_of() -> None:
    @traced
    def stubborn() -> Iterator[str]:
        try:
            yield "first"
        except GeneratorExit:
            yield "still here"

    @traced
    async def stubborn_slowly() -> AsyncIterator[str]:
        try:
            yield "first"
        except GeneratorExit:
            yield "still here"

    generator: Any = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()
    slow: Any = stubborn_slowly()
    await anext(slow)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await slow.aclose()


async def test_a_generators_span_is_current_while_it_answers_and_records_what_passes_it(told) -> None:
    seen = []

    @traced
    def fail() -> Iterator[None]:
        try:
            yield
        finally:
            seen.append(trace.get_current_span().get_span_context().span_id)

    @traced
    async def fail_slowly() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append(trace.get_current_span().get_span_context().span_id)

    generator: Any = fail()
    next(generator)
    with pytest.raises(ValueError, match="no"):
        generator.throw(ValueError("no"))
    slow: Any = fail_slowly()
    await anext(slow)
    with pytest.raises(ValueError, match="no"):
        await slow.athrow(ValueError("no"))
    spans = told()
    assert [span.context.span_id for span in spans] == seen
    assert [span.attributes["error.type"] for span in spans] == ["ValueError"] * 2


async def test_a_generator_that_is_left_early_is_no_error_and_is_closed_in_its_span(told) -> None:
    seen = []

    @traced
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(trace.get_current_span().get_span_context().span_id)

    generator: Any = numbers()
    assert await anext(generator) == 1
    await generator.aclose()
    (span,) = told()
    assert (span.context.span_id, span.status.status_code) == (seen[0], StatusCode.UNSET)


async def test_a_run_in_a_thread_without_context_is_a_span_of_the_application(told) -> None:
    thread = threading.Thread(target=add, args=(1, 2))
    thread.start()
    thread.join()
    assert [span.name for span in told()] == ["add"]


async def test_in_a_trace_that_is_not_sampled_an_exception_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.tracing.decorator.failure_attributes", None)
    tracing = Tracing(
        TracingSettings(enabled=True, ratio=0), service="orders", version="1", environment="test"
    )
    tracing.start()

    @traced
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        fail()
    await tracing.shutdown()
