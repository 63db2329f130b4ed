"""The fields of a request reach every line of it, and no other request's."""

import asyncio
import contextvars
import string

import anyio.lowlevel
import anyio.to_thread

from chassis import context


async def _inside(fields: dict[str, object]) -> dict[str, object]:
    token = context.enter(fields)
    try:
        context.bind(own=fields["request_id"])
        await anyio.lowlevel.checkpoint()
        return dict(context.current())
    finally:
        context.leave(token)


def test_a_request_id_is_32_hexadecimal_digits_and_new_each_time() -> None:
    ids = {context.new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(found) == 32 and set(found) <= set(string.hexdigits.lower()) for found in ids)


def test_nothing_is_bound_outside_a_request() -> None:
    assert contextvars.Context().run(lambda: (dict(context.current()), context.request_id())) == ({}, None)


async def test_concurrent_requests_do_not_see_each_other() -> None:
    found = await asyncio.gather(*(_inside({"request_id": str(number)}) for number in range(20)))
    assert found == [{"request_id": str(number), "own": str(number)} for number in range(20)]


def test_leaving_a_request_restores_what_was_before() -> None:
    def run() -> None:
        outer = context.enter({"request_id": "outer"})
        inner = context.enter({"request_id": "inner"})
        assert context.request_id() == "inner"
        context.leave(inner)
        assert context.request_id() == "outer"
        context.leave(outer)
        assert context.request_id() is None

    contextvars.Context().run(run)


async def test_what_a_task_or_a_worker_thread_binds_is_seen_by_the_request() -> None:
    async def task() -> None:
        context.bind(task="seen")

    token = context.enter({"request_id": "1"})
    try:
        await asyncio.create_task(task())
        await anyio.to_thread.run_sync(lambda: context.bind(thread="seen"))
        assert context.current() == {"request_id": "1", "task": "seen", "thread": "seen"}
    finally:
        context.leave(token)


def test_bound_adds_for_a_block_and_restores() -> None:
    def run() -> None:
        token = context.enter({"request_id": "1", "step": "outer"})
        with context.bound(step="inner", more=1):
            assert context.current() == {"request_id": "1", "step": "inner", "more": 1}
        assert context.current() == {"request_id": "1", "step": "outer"}
        context.leave(token)

    contextvars.Context().run(run)


def test_bound_works_outside_a_request() -> None:
    def run() -> None:
        with context.bound(job="import"):
            assert context.current() == {"job": "import"}
        assert context.current() == {}

    contextvars.Context().run(run)


def test_bind_inside_nested_blocks_reaches_the_request_and_every_block() -> None:
    def run() -> None:
        token = context.enter({"request_id": "1"})
        with context.bound(a=1), context.bound(b=2):
            context.bind(user="ann")
            assert context.current() == {"request_id": "1", "a": 1, "b": 2, "user": "ann"}
        assert context.current() == {"request_id": "1", "user": "ann"}
        context.leave(token)

    contextvars.Context().run(run)


def test_bind_outside_a_request_lasts_as_long_as_the_context() -> None:
    def run() -> None:
        context.bind(worker=3)
        context.bind(queue="mail")
        assert context.current() == {"worker": 3, "queue": "mail"}

    contextvars.Context().run(run)
    assert contextvars.Context().run(lambda: dict(context.current())) == {}


def test_the_dict_given_to_enter_receives_what_is_bound() -> None:
    fields: dict[str, object] = {"request_id": "1"}

    def run() -> None:
        token = context.enter(fields)
        context.bind(user="ann")
        context.leave(token)

    contextvars.Context().run(run)
    assert fields == {"request_id": "1", "user": "ann"}
