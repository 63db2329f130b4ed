"""Starting, draining and closing, in order, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from log_capture import capture_logs

from chassis.app import create_app
from chassis.errors import Unavailable
from chassis.health import HealthCheck
from chassis.lifecycle import Backoff, Lifecycle, LifecycleSettings, Resource, StartupError
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import ServiceSettings
from chassis.settings import Settings, load
from chassis.testing import connect
from chassis.testing.clock import FakeClock

CALM = LifecycleSettings(close_timeout=60)
UNLIMITED = ServiceSettings(rate_limiting=RateLimitSettings(enabled=False))
IMPATIENT = LifecycleSettings(close_timeout=0.1)


class Recorder:
    """Notes what happens, and makes steps and resources that note it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def step(self, event: str) -> Callable[[], None]:
        return lambda: self.events.append(event)

    def resource(
        self, name: str, *, opening: Exception | None = None, closing: Exception | None = None
    ) -> Callable[[], AbstractAsyncContextManager[str]]:
        @asynccontextmanager
        async def manage() -> AsyncIterator[str]:
            if opening is not None:
                raise opening
            self.events.append(f"open {name}")
            try:
                yield name.upper()
            finally:
                self.events.append(f"close {name}")
                if closing is not None:
                    raise closing

        return manage


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def until(condition: Callable[[], bool]) -> None:
    """Let the other tasks run until they have done something that nobody announces."""
    async with asyncio.timeout(5):
        for _ in iter(condition, True):
            await asyncio.sleep(0)


# -- order


async def test_parts_start_in_order_and_close_in_reverse(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("first", recorder.resource("first"))
    lifecycle.on_start("second", recorder.step("start second"))
    lifecycle.on_close("second", recorder.step("stop second"))
    lifecycle.resource("third", recorder.resource("third"))

    async with lifecycle.running():
        recorder.events.append("serve")

    assert recorder.events == [
        "open first",
        "start second",
        "open third",
        "serve",
        "close third",
        "stop second",
        "close first",
    ]


async def test_states_follow_each_other(recorder):
    lifecycle = Lifecycle(CALM)
    states = [lifecycle.state]
    lifecycle.on_start("watch", lambda: states.append(lifecycle.state))
    lifecycle.on_close("watch", lambda: states.append(lifecycle.state))

    async with lifecycle.running():
        states.append(lifecycle.state)
    states.append(lifecycle.state)

    assert states == ["starting", "starting", "ready", "draining", "stopped"]


async def test_coroutine_steps_are_awaited(recorder):
    lifecycle = Lifecycle(CALM)

    async def start() -> None:
        await asyncio.sleep(0)
        recorder.events.append("started")

    lifecycle.on_start("async", start)
    async with lifecycle.running():
        assert recorder.events == ["started"]


async def test_a_failing_start_closes_what_was_opened_and_names_the_part(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("disk", recorder.resource("disk"))
    lifecycle.resource("cache", recorder.resource("cache"))
    lifecycle.resource("database", recorder.resource("database", opening=ConnectionError("refused")))
    lifecycle.resource("never", recorder.resource("never"))

    with capture_logs() as logs, pytest.raises(StartupError, match="database did not start: ConnectionError"):
        async with lifecycle.running():
            pytest.fail("it must not start")

    assert recorder.events == ["open disk", "open cache", "close cache", "close disk"]
    loud = [line for line in logs if line["log_level"] != "debug"]
    assert [(line["event"], line["part"]) for line in loud] == [("startup failed", "database")]
    assert lifecycle.state == "stopped"


async def test_a_close_that_awaits_what_was_cancelled_is_logged_and_the_rest_still_closes(recorder):
    async def await_a_cancelled_one() -> None:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    lifecycle = Lifecycle(CALM)
    lifecycle.resource("first", recorder.resource("first"))
    lifecycle.on_close("second", await_a_cancelled_one)

    with capture_logs() as logs:
        async with lifecycle.running():
            pass

    assert recorder.events[-1:] == ["close first"]
    assert [line["part"] for line in logs if line["event"] == "close failed"] == ["second"]


async def test_a_failing_close_is_logged_and_the_rest_still_closes(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("first", recorder.resource("first"))
    lifecycle.resource("second", recorder.resource("second", closing=OSError("gone")))
    lifecycle.on_close("third", lambda: 1 / 0)

    with capture_logs() as logs:
        async with lifecycle.running():
            pass

    assert recorder.events[-2:] == ["close second", "close first"]
    failed = [(line["part"], type(line["exc_info"])) for line in logs if line["event"] == "close failed"]
    assert failed == [("third", ZeroDivisionError), ("second", OSError)]


@pytest.mark.parametrize("stubborn", [False, True], ids=["cancellable", "swallows cancellation"])
async def test_a_close_that_hangs_is_left_behind(recorder, monkeypatch, stubborn):
    monkeypatch.setattr("chassis.lifecycle.lifecycle._GRACE", 0.02)
    lifecycle = Lifecycle(IMPATIENT)
    release = asyncio.Event()

    async def hang() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise
            await release.wait()

    lifecycle.on_close("first", recorder.step("close first"))
    lifecycle.on_close("hanging", hang)

    with capture_logs() as logs:
        async with lifecycle.running():
            pass

    assert recorder.events == ["close first"]
    assert [(line["event"], line["part"]) for line in logs] == [("close takes too long", "hanging")]
    release.set()
    await asyncio.sleep(0)


async def test_what_is_opened_later_is_closed_too(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.on_close("early", recorder.step("close early"))
    async with lifecycle.running():
        lifecycle.on_close("late", recorder.step("close late"))
    assert recorder.events == ["close late", "close early"]


@pytest.mark.parametrize("register", ["on_start", "resource"])
async def test_a_part_that_must_start_cannot_be_added_later(register):
    lifecycle = Lifecycle(CALM)
    async with lifecycle.running():
        with pytest.raises(RuntimeError, match="'late' is registered too late"):
            getattr(lifecycle, register)("late", lambda: None)


async def test_a_plain_function_runs_on_the_event_loop():
    lifecycle = Lifecycle(CALM)
    loops = []
    lifecycle.on_start("here", lambda: loops.append(asyncio.get_running_loop()))
    lifecycle.on_close("here", lambda: loops.append(asyncio.get_running_loop()))
    async with lifecycle.running():
        pass
    assert loops == [asyncio.get_running_loop()] * 2


async def test_it_can_run_again_but_not_twice_at_once(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("pool", recorder.resource("pool"))
    for _ in range(2):
        async with lifecycle.running():
            assert lifecycle.state == "ready"
            with pytest.raises(RuntimeError, match="already running"):
                async with lifecycle.running():
                    pass
            assert lifecycle.state == "ready"
    assert recorder.events == ["open pool", "close pool"] * 2


async def test_two_lifecycles_in_one_process_share_nothing(recorder):
    one, two = Lifecycle(CALM), Lifecycle(CALM)
    one.resource("one", recorder.resource("one"))
    two.resource("two", recorder.resource("two"))
    async with one.running(), two.running():
        one.begin_drain()
        assert (one.state, two.state) == ("draining", "ready")


async def test_an_exception_while_serving_still_closes(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("pool", recorder.resource("pool"))
    with pytest.raises(LookupError):
        async with lifecycle.running():
            raise LookupError
    assert recorder.events == ["open pool", "close pool"]


async def test_a_start_that_is_cancelled_closes_what_was_opened(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("pool", recorder.resource("pool"))
    opening = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        opening.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            recorder.events.append("slow gave up")

    lifecycle.resource("slow", slow)

    async def serve() -> None:
        async with lifecycle.running():
            pytest.fail("it must not start")

    task = asyncio.create_task(serve())
    await opening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.events == ["open pool", "slow gave up", "close pool"]


# -- drain


async def test_drain_callbacks_run_once_and_a_failing_one_stops_no_other(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.on_drain("broken", lambda: 1 / 0)
    lifecycle.on_drain("consumer", recorder.step("stop consuming"))

    with capture_logs() as logs:
        async with lifecycle.running():
            lifecycle.begin_drain()
            assert lifecycle.state == "draining"
            lifecycle.begin_drain()

    assert recorder.events == ["stop consuming"]
    assert [(line["event"], line["callback"]) for line in logs] == [("drain callback failed", "broken")]


async def test_a_drain_callback_may_be_added_while_the_service_runs(recorder):
    lifecycle = Lifecycle(CALM)
    async with lifecycle.running():
        lifecycle.on_drain("late", recorder.step("stop consuming"))
        lifecycle.begin_drain()
        assert recorder.events == ["stop consuming"]


async def test_readiness_follows_the_states_and_requests_are_served_in_each():
    service = create_app(UNLIMITED)
    service.add_api_route("/orders", lambda: "orders")
    lifecycle, answers = service.environment.lifecycle, []

    async def look(client) -> None:
        paths = ("/health/ready", "/orders")
        answers.append((lifecycle.state, *[(await client.get(path)).status_code for path in paths]))

    async with connect(service, lifespan=False) as client:
        await look(client)
        async with lifecycle.running():
            await look(client)
            lifecycle.begin_drain()
            await look(client)
    assert answers == [("starting", 503, 200), ("ready", 200, 200), ("draining", 503, 200)]


@pytest.mark.parametrize(("critical", "status"), [(True, 503), (False, 200)])
async def test_a_running_service_is_ready_unless_a_critical_check_fails(critical, status):
    service = create_app(UNLIMITED)
    service.environment.health.add(HealthCheck("database", lambda: 1 / 0, critical=critical))
    async with connect(service) as client:
        assert (await client.get("/health/ready")).status_code == status


async def test_a_drain_during_the_start_is_not_forgotten():
    lifecycle = Lifecycle(CALM)
    lifecycle.on_start("stopped at once", lifecycle.begin_drain)
    async with lifecycle.running():
        assert lifecycle.state == "draining"


async def test_draining_after_the_end_changes_nothing():
    lifecycle = Lifecycle(CALM)
    async with lifecycle.running():
        pass
    lifecycle.begin_drain()
    assert lifecycle.state == "stopped"


# -- resources


async def test_a_resource_that_never_opened_has_nothing_to_close(recorder):
    pool = Resource("pool", recorder.resource("pool"))
    await pool.close()
    assert recorder.events == []


async def test_a_resource_hands_out_what_it_opened(recorder):
    lifecycle = Lifecycle(CALM)
    pool = lifecycle.resource("pool", recorder.resource("pool"))
    with pytest.raises(Unavailable, match="pool is not available"):
        _ = pool.value
    async with lifecycle.running():
        assert pool.available
        assert pool.value == "POOL"
    assert not pool.available


async def test_a_client_is_told_to_come_back_while_a_resource_is_not_open(recorder):
    service = create_app(UNLIMITED)
    pool = service.environment.lifecycle.resource("pool", recorder.resource("pool"))
    service.add_api_route("/pool", lambda: pool.value)
    async with connect(service, lifespan=False) as client:
        refused = await client.get("/pool")
        async with service.environment.lifecycle.running():
            served = await client.get("/pool")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (served.status_code, served.json()) == (200, "POOL")


async def test_the_start_waits_two_seconds_for_an_optional_resource_unless_told_otherwise(recorder):
    lifecycle = Lifecycle(CALM)
    assert lifecycle.resource("cache", recorder.resource("cache"), required=False)._patience == 2
    assert lifecycle.resource("queue", recorder.resource("queue"), patience=5)._patience == 5


async def test_a_context_manager_can_be_given_itself(recorder):
    lifecycle = Lifecycle(CALM)
    pool = lifecycle.resource("pool", recorder.resource("pool")())
    async with lifecycle.running():
        assert pool.value == "POOL"


async def test_a_resource_is_left_by_the_task_that_entered_it():
    tasks = []

    @asynccontextmanager
    async def manage() -> AsyncIterator[None]:
        async with asyncio.timeout(60):  # refuses to be left by another task
            tasks.append(asyncio.current_task())
            yield
            tasks.append(asyncio.current_task())

    lifecycle = Lifecycle(CALM)
    lifecycle.resource("scoped", manage)
    async with lifecycle.running():
        pass
    assert tasks[0] is tasks[1]


def test_an_optional_resource_needs_a_function(recorder):
    with pytest.raises(TypeError, match="'cache' needs a function"):
        Lifecycle(CALM).resource("cache", recorder.resource("cache")(), required=False)


async def test_an_unavailable_optional_resource_is_a_warning_and_is_opened_later(recorder):
    clock = FakeClock()
    answers = iter([ConnectionError("refused"), ConnectionError("refused"), None])
    lifecycle = Lifecycle(CALM, sleep=clock.sleep, chance=lambda: 0.0, backoff=Backoff(first=2, longest=10))

    def manage() -> AbstractAsyncContextManager[str]:
        return recorder.resource("cache", opening=next(answers))()

    cache = lifecycle.resource("cache", manage, required=False)

    with capture_logs() as logs:
        async with lifecycle.running():
            assert lifecycle.state == "ready"
            assert isinstance(cache.error, ConnectionError)
            await until(lambda: cache.available)
            assert cache.error is None
            assert cache.value == "CACHE"

    assert clock.slept == [1.0, 2.0]
    warnings = [line for line in logs if line["event"] == "resource unavailable"]
    assert [line["failures"] for line in warnings] == [1, 2]
    assert warnings[0]["log_level"] == "warning"
    assert warnings[0]["error"] == "ConnectionError: refused"
    assert [line["resource"] for line in logs if line["event"] == "resource available"] == ["cache"]
    assert recorder.events == ["open cache", "close cache"]


async def test_an_optional_resource_that_hangs_does_not_hold_up_the_start():
    @asynccontextmanager
    async def hanging() -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    lifecycle = Lifecycle(CALM)
    cache = lifecycle.resource("cache", hanging, required=False, patience=0.01)
    with capture_logs() as logs:
        async with lifecycle.running():
            assert not cache.available
    assert [line["event"] for line in logs] == ["resource is slow to open"]


async def test_a_required_resource_that_is_slow_is_told_and_waited_for():
    answered = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        await answered.wait()
        yield

    async def serve() -> bool:
        async with lifecycle.running():
            return disk.available

    lifecycle = Lifecycle(CALM)
    disk = lifecycle.resource("disk", slow, patience=0.01)
    with capture_logs() as logs:
        serving = asyncio.create_task(serve())
        await until(
            lambda: (
                ("resource is slow to open", "disk") in [(line["event"], line["resource"]) for line in logs]
            )
        )
        assert (lifecycle.state, serving.done()) == ("starting", False)
        answered.set()
        assert await serving


async def test_an_optional_resource_that_breaks_is_opened_again(recorder):
    clock = FakeClock()
    breaking = asyncio.Event()
    opened = []

    @asynccontextmanager
    async def manage() -> AsyncIterator[int]:
        opened.append(len(opened) + 1)
        if len(opened) > 1:
            yield len(opened)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(_fail_after(breaking))
            yield len(opened)

    lifecycle = Lifecycle(CALM, sleep=clock.sleep)
    stream = lifecycle.resource("stream", manage, required=False)
    async with lifecycle.running():
        assert stream.value == 1
        breaking.set()
        await until(lambda: len(opened) == 2)
        assert stream.value == 2


async def test_a_required_resource_that_breaks_is_an_error_in_the_log():
    breaking = asyncio.Event()

    @asynccontextmanager
    async def manage() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(_fail_after(breaking))
            yield

    lifecycle = Lifecycle(CALM)
    stream = lifecycle.resource("stream", manage)
    with capture_logs() as logs:
        async with lifecycle.running():
            breaking.set()
            await until(lambda: not stream.available)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "resource failed while it was open"
    ]


async def _await_what_is_cancelled() -> None:
    inner = asyncio.create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


async def test_a_required_resource_whose_opening_is_cancelled_from_inside_stops_the_start(recorder):
    @asynccontextmanager
    async def manage() -> AsyncIterator[None]:
        await _await_what_is_cancelled()
        yield

    lifecycle = Lifecycle(CALM)
    lifecycle.resource("disk", recorder.resource("disk"))
    lifecycle.resource("pool", manage)
    with capture_logs() as logs, pytest.raises(StartupError, match="pool did not start: CancelledError"):
        async with asyncio.timeout(5), lifecycle.running():
            pytest.fail("it must not start")
    assert recorder.events == ["open disk", "close disk"]
    assert [(line["event"], line["part"]) for line in logs if line["log_level"] == "critical"] == [
        ("startup failed", "pool")
    ]


async def test_an_optional_resource_whose_opening_is_cancelled_from_inside_is_opened_later():
    clock = FakeClock()
    attempts = []

    @asynccontextmanager
    async def manage() -> AsyncIterator[str]:
        attempts.append(1)
        if len(attempts) < 3:
            await _await_what_is_cancelled()
        yield "there"

    lifecycle = Lifecycle(CALM, sleep=clock.sleep)
    cache = lifecycle.resource("cache", manage, required=False)
    with capture_logs() as logs:
        async with lifecycle.running():
            assert isinstance(cache.error, asyncio.CancelledError)
            await until(lambda: cache.available)
            assert (cache.value, cache.error) == ("there", None)
    assert [line["error"] for line in logs if line["event"] == "resource unavailable"] == [
        "CancelledError: "
    ] * 2


async def test_a_required_resource_that_is_cancelled_from_inside_while_open_is_an_error_in_the_log():
    breaking = asyncio.get_running_loop().create_future()

    class Stream:
        async def __aenter__(self) -> None:
            task = asyncio.current_task()
            breaking.add_done_callback(lambda _: (task.cancel(), task.uncancel()))

        async def __aexit__(self, *_: object) -> None:
            return None

    lifecycle = Lifecycle(CALM)
    stream = lifecycle.resource("stream", Stream)
    with capture_logs() as logs:
        async with lifecycle.running():
            breaking.set_result(None)
            await until(lambda: not stream.available)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "resource failed while it was open"
    ]


async def test_a_step_that_is_cancelled_from_inside_stops_the_start(recorder):
    lifecycle = Lifecycle(CALM)
    lifecycle.resource("disk", recorder.resource("disk"))
    lifecycle.on_start("warm up", _await_what_is_cancelled)
    with pytest.raises(StartupError, match="warm up did not start: CancelledError"):
        async with lifecycle.running():
            pytest.fail("it must not start")
    assert recorder.events == ["open disk", "close disk"]


async def _fail_after(event: asyncio.Event) -> None:
    await event.wait()
    raise ConnectionResetError


# -- background tasks


async def test_a_failing_task_is_logged_counted_and_restarted_with_back_off():
    clock = FakeClock()
    counted: list[tuple[str, BaseException]] = []
    outcomes: list[Exception | None] = [ValueError("one"), ValueError("two"), ValueError("three"), None]
    done = asyncio.Event()

    async def work() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        done.set()

    lifecycle = Lifecycle(
        CALM,
        on_task_failure=lambda name, error: counted.append((name, error)),
        sleep=clock.sleep,
        clock=clock,
        chance=lambda: 0.5,
        backoff=Backoff(first=1, longest=100),
    )
    lifecycle.supervise("mailer", work)
    with capture_logs() as logs:
        async with lifecycle.running():
            await done.wait()

    assert clock.slept == [0.75, 1.5, 3.0]
    assert [(name, str(error)) for name, error in counted] == [
        ("mailer", "one"),
        ("mailer", "two"),
        ("mailer", "three"),
    ]
    failures = [line for line in logs if line["event"] == "background task failed"]
    assert [str(line["exc_info"]) for line in failures] == ["one", "two", "three"]
    assert [line["restart_in_seconds"] for line in failures] == [0.75, 1.5, 3.0]


async def test_a_task_that_ran_for_long_starts_its_count_over():
    clock = FakeClock()
    lifetimes = [0.0, 0.0, 60.0]
    done = asyncio.Event()

    async def work() -> None:
        if not lifetimes:
            done.set()
            return
        clock.advance(lifetimes.pop(0))
        raise ValueError

    lifecycle = Lifecycle(
        CALM, sleep=clock.sleep, clock=clock, chance=lambda: 0, backoff=Backoff(first=2, longest=60)
    )
    lifecycle.supervise("reader", work)
    async with lifecycle.running():
        await done.wait()
    assert clock.slept == [1.0, 2.0, 1.0]


async def test_a_task_that_returns_is_not_restarted():
    runs = []

    async def once() -> None:
        runs.append(1)

    lifecycle = Lifecycle(CALM)
    lifecycle.supervise("once", once)
    async with lifecycle.running():
        await until(lambda: bool(runs))
        await asyncio.sleep(0)
    assert runs == [1]


async def test_tasks_run_only_while_everything_is_open(recorder):
    lifecycle = Lifecycle(CALM)
    running = asyncio.Event()

    async def work() -> None:
        recorder.events.append("work")
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            recorder.events.append("work cancelled")

    lifecycle.supervise("worker", work)
    lifecycle.resource("pool", recorder.resource("pool"))
    with capture_logs() as logs:
        async with lifecycle.running():
            await running.wait()
    assert recorder.events == ["open pool", "work", "work cancelled", "close pool"]
    assert not [line for line in logs if line["log_level"] != "debug"]


async def test_a_task_can_be_started_while_the_service_runs():
    started = asyncio.Event()

    async def work() -> None:
        started.set()

    lifecycle = Lifecycle(CALM)
    async with lifecycle.running():
        lifecycle.supervise("late", work)
        await started.wait()


async def test_a_task_that_lets_a_foreign_cancellation_out_is_restarted():
    clock = FakeClock()
    runs = []
    done = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) > 1:
            done.set()
            return
        inner = asyncio.create_task(asyncio.Event().wait())
        inner.cancel()
        await inner

    lifecycle = Lifecycle(CALM, sleep=clock.sleep)
    lifecycle.supervise("fragile", work)
    async with lifecycle.running():
        await done.wait()
    assert len(runs) == 2


async def test_a_task_that_ignores_its_cancellation_cannot_stop_the_stop(recorder):
    lifecycle = Lifecycle(IMPATIENT)
    lifecycle.on_close("pool", recorder.step("close pool"))
    running, release = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            running.set()
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    lifecycle.supervise("stubborn", stubborn)
    with capture_logs() as logs:
        async with lifecycle.running():
            await running.wait()
    assert recorder.events == ["close pool"]
    assert [(line["event"], line["task"]) for line in logs if line["log_level"] == "error"] == [
        ("background task does not stop", "stubborn")
    ]
    release.set()
    await asyncio.sleep(0)


async def test_a_failing_failure_callback_does_not_end_the_supervision():
    clock = FakeClock()
    outcomes: list[Exception | None] = [ValueError("one"), None]
    done = asyncio.Event()

    async def work() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        done.set()

    def broken(name: str, error: BaseException) -> None:
        raise RuntimeError(name)

    lifecycle = Lifecycle(CALM, on_task_failure=broken, sleep=clock.sleep)
    lifecycle.supervise("mailer", work)
    with capture_logs() as logs:
        async with lifecycle.running():
            await done.wait()
    assert "failure callback failed" in [line["event"] for line in logs]


# -- times


@pytest.mark.parametrize(
    ("failures", "chance", "delay"),
    [(1, 0.0, 0.25), (1, 1.0, 0.5), (2, 1.0, 1.0), (3, 0.0, 1.0), (100_000, 1.0, 60.0)],
)
def test_back_off_doubles_up_to_its_limit(failures, chance, delay):
    assert Backoff().delay(failures, chance) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("given", "environment", "delay"),
    [
        (None, "production", 5.0),
        (None, "staging", 5.0),
        (None, "development", 0.0),
        (2.5, "development", 2.5),
    ],
)
def test_the_drain_delay_is_for_load_balancers(given, environment, delay):
    assert LifecycleSettings(drain_delay=given).delay(environment) == delay


def test_the_times_are_read_in_seconds():
    class Composed(Settings):
        lifecycle: LifecycleSettings = LifecycleSettings()

    environ = {"DRAIN_DELAY": "1", "SHUTDOWN_TIMEOUT": "2.5", "CLOSE_TIMEOUT": "0.5"}
    assert load(Composed, environ=environ).lifecycle == LifecycleSettings(
        drain_delay=1, shutdown_timeout=2.5, close_timeout=0.5
    )


def test_the_longest_stop_adds_up():
    settings = LifecycleSettings(drain_delay=1, shutdown_timeout=10, close_timeout=2)
    assert settings.longest_stop("production") == 17.0


def test_the_times_of_a_stop_are_those_that_the_documentation_tells():
    settings = LifecycleSettings()
    assert (settings.shutdown_timeout, settings.close_timeout) == (20, 5)
    assert settings.longest_stop("production") == 40
