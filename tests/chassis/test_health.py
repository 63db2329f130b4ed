"""What checks mean, that none of them can hang the endpoints, and what the endpoints say."""

import asyncio
import io
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from log_capture import capture_logs
from starlette.applications import Starlette

from chassis.health import Degraded, Health, HealthCheck, HealthSettings, Status
from chassis.health.system import Memory, System, container_memory, machine_memory
from chassis.lifecycle import Lifecycle
from chassis.logging import LoggingSettings, configure_logging, unconfigure_logging
from chassis.testing.clock import FakeClock

NO_SYSTEM_CHECKS = HealthSettings(memory_max_percent=0, disk_min_free_mib=0)


def make_health(
    *checks: HealthCheck,
    settings: HealthSettings = NO_SYSTEM_CHECKS,
    clock: Callable[[], float] | None = None,
    on_result: Callable[[str, float], object] | None = None,
) -> Health:
    health = Health(
        settings,
        lifecycle=Lifecycle(),
        service="orders",
        version="1.2.3",
        clock=clock or FakeClock(),
        on_result=on_result,
    )
    for check in checks:
        health.add(check)
    return health


def answering(outcome: str | Exception | None) -> Callable[[], str | None]:
    def probe() -> str | None:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return probe


WELL = answering(None)
BROKEN = answering(ConnectionError("refused"))


# -- what checks mean


@pytest.mark.parametrize(
    ("critical", "optional", "status"),
    [
        (WELL, WELL, Status.HEALTHY),
        (WELL, BROKEN, Status.DEGRADED),
        (WELL, answering(Degraded("slow")), Status.DEGRADED),
        (answering(Degraded("slow")), WELL, Status.DEGRADED),
        (BROKEN, WELL, Status.UNHEALTHY),
        (BROKEN, BROKEN, Status.UNHEALTHY),
    ],
)
async def test_only_a_critical_check_makes_the_service_unhealthy(critical, optional, status):
    health = make_health(HealthCheck("critical", critical), HealthCheck("optional", optional, critical=False))
    assert (await health.report()).status is status


async def test_no_check_is_healthy():
    assert (await make_health().report()).status is Status.HEALTHY


async def test_each_result_says_what_was_found():
    clock = FakeClock()

    async def slow() -> str:
        clock.advance(0.25)
        return "3 connections"

    report = await make_health(HealthCheck("database", slow), clock=clock).report()
    (result,) = report.checks
    assert (result.name, result.status, result.detail) == ("database", Status.HEALTHY, "3 connections")
    assert result.duration_seconds == pytest.approx(0.25)


def test_a_name_can_be_taken_once():
    health = make_health(HealthCheck("database", WELL))
    with pytest.raises(ValueError, match="already a health check 'database'"):
        health.add(HealthCheck("database", WELL))


@pytest.mark.parametrize("kind", ["coroutine function", "function", "function that returns a coroutine"])
async def test_every_kind_of_function_is_a_probe(kind):
    async def probe(text: str = "pong") -> str:
        return text

    probes = {
        "coroutine function": probe,
        "function": lambda: "pong",
        "function that returns a coroutine": lambda: probe("pong"),
    }
    (result,) = (await make_health(HealthCheck("ping", probes[kind])).report()).checks
    assert (result.status, result.detail) == (Status.HEALTHY, "pong")


async def test_a_function_does_not_run_on_the_event_loop():
    threads = []
    await make_health(HealthCheck("blocking", lambda: threads.append(threading.current_thread()))).report()
    assert threads != [threading.main_thread()]
    assert threads[0].daemon  # so that the process can end while it hangs


async def test_details_are_masked_and_short():
    secret = "postgres://app:hunter2@db.internal/orders of jo.doe@shop.example"
    health = make_health(
        HealthCheck("raises", answering(ConnectionError(f"cannot reach {secret}"))),
        HealthCheck("degraded", answering(Degraded(f"slow: {secret}"))),
        HealthCheck("returns", answering(secret + "x" * 1000)),
    )
    for result in (await health.report()).checks:
        assert result.detail is not None
        assert "hunter2" not in result.detail
        assert "jo.doe" not in result.detail
        assert len(result.detail) <= 300
    raised, degraded, _ = (await health.report()).checks
    assert raised.detail.startswith("ConnectionError: cannot reach ")
    assert degraded.detail.startswith("slow: ")


async def test_details_are_masked_by_the_rules_of_the_logs():
    settings = LoggingSettings(mask_ips=True, sensitive_keys="badge")
    unconfigure_logging()
    configure_logging(settings, service="orders", environment="production", sink=io.BytesIO())
    try:
        check = HealthCheck("raises", answering(ConnectionError("no badge=A-1234567 at 203.0.113.77")))
        (result,) = (await make_health(check).report()).checks
    finally:
        unconfigure_logging()
    assert result.detail == "ConnectionError: no badge=A-***67 at 20***77"


async def test_results_are_exported_as_numbers():
    exported = {}
    health = make_health(
        HealthCheck("well", WELL),
        HealthCheck("slow", answering(Degraded("slow"))),
        HealthCheck("broken", BROKEN),
        on_result=exported.__setitem__,
    )
    await health.report()
    assert exported == {"well": 1.0, "slow": 0.5, "broken": 0.0}


async def test_a_broken_export_breaks_no_check():
    def export(check: str, value: float) -> None:
        raise RuntimeError(check)

    health = make_health(HealthCheck("database", WELL), on_result=export)
    with capture_logs() as logs:
        assert (await health.report()).status is Status.HEALTHY
    assert [line["event"] for line in logs] == ["health callback failed"]


async def test_a_change_is_logged_once():
    clock = FakeClock()
    refused = ConnectionError("refused")
    outcomes = iter([None, refused, refused, Degraded("slow"), None, None])

    def probe() -> str | None:
        return answering(next(outcomes))()

    health = make_health(HealthCheck("database", probe), clock=clock)
    with capture_logs() as logs:
        for _ in range(6):
            await health.report()
            clock.advance(10)
    assert {line["event"] for line in logs} == {"health changed"}
    assert [(line["status"], line["log_level"]) for line in logs] == [
        ("unhealthy", "warning"),
        ("degraded", "warning"),
        ("healthy", "info"),
    ]


# -- how checks are asked


async def test_a_thundering_herd_runs_a_probe_once():
    runs = []
    release = asyncio.Event()

    async def probe() -> None:
        runs.append(1)
        await release.wait()

    health = make_health(HealthCheck("database", probe))
    herd = [asyncio.create_task(health.report()) for _ in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    release.set()
    assert {report.status for report in await asyncio.gather(*herd)} == {Status.HEALTHY}
    assert runs == [1]


@pytest.mark.parametrize(("own", "default"), [(1.0, 30.0), (None, 1.0)])
async def test_results_are_used_again_for_a_short_time(own, default):
    clock = FakeClock()
    runs = []
    health = make_health(
        HealthCheck("database", lambda: runs.append(1), cache=own),
        settings=NO_SYSTEM_CHECKS.model_copy(update={"cache": default}),
        clock=clock,
    )
    await health.report()
    clock.advance(0.9)
    await health.report()
    assert len(runs) == 1
    clock.advance(0.2)
    await health.report()
    assert len(runs) == 2


async def test_who_goes_away_does_not_cancel_the_check_for_the_others():
    started, release = asyncio.Event(), asyncio.Event()

    async def probe() -> str:
        started.set()
        await release.wait()
        return "here"

    health = make_health(HealthCheck("database", probe))
    first = asyncio.create_task(health.report())
    await started.wait()
    second = asyncio.create_task(health.report())
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert (await second).checks[0].detail == "here"


async def test_checks_run_side_by_side():
    together = asyncio.Barrier(2)

    async def probe() -> None:
        await together.wait()

    health = make_health(HealthCheck("one", probe), HealthCheck("two", probe))
    assert (await health.report()).status is Status.HEALTHY


@pytest.mark.parametrize(("own", "default"), [(0.02, 60.0), (None, 0.02)])
async def test_a_hanging_check_is_unhealthy_after_its_time_limit(own, default):
    async def hang() -> None:
        await asyncio.Event().wait()

    health = make_health(
        HealthCheck("queue", hang, timeout=own),
        settings=NO_SYSTEM_CHECKS.model_copy(update={"timeout": default}),
    )
    (result,) = (await health.report()).checks
    assert (result.status, result.detail) == (Status.UNHEALTHY, "no answer within 0.02 s")


def test_the_limits_are_those_that_the_documentation_tells():
    settings = HealthSettings()
    assert (settings.timeout, settings.cache) == (2, 1)
    assert (settings.memory_max_percent, settings.disk_min_free_mib) == (95, 100)


async def test_a_check_that_swallows_cancellation_is_not_started_again_until_it_ends():
    runs, release = [], asyncio.Event()

    async def stubborn() -> None:
        runs.append(1)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    health = make_health(HealthCheck("stubborn", stubborn, timeout=0.02, cache=0))
    assert (await health.report()).checks[0].detail == "no answer within 0.02 s"
    assert (await health.report()).checks[0].detail == "an earlier run has still not returned"
    assert len(runs) == 1
    release.set()
    await asyncio.sleep(0)
    assert (await health.report()).status is Status.HEALTHY
    assert len(runs) == 2


async def test_a_check_that_blocks_a_thread_is_not_started_again_until_it_ends():
    runs, release = [], threading.Event()

    def block() -> None:
        runs.append(1)
        release.wait(30)

    health = make_health(HealthCheck("blocked", block, timeout=0.02, cache=0))
    assert (await health.report()).checks[0].detail == "no answer within 0.02 s"
    assert (await health.report()).checks[0].detail == "an earlier run has still not returned"
    assert len(runs) == 1
    release.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "health blocked"]:
        thread.join(10)
    await asyncio.sleep(0)  # the thread has scheduled its result
    await asyncio.sleep(0)
    await health.report()
    assert len(runs) == 2


async def test_a_check_whose_own_call_was_cancelled_is_unhealthy():
    async def probe() -> None:
        inner = asyncio.create_task(asyncio.Event().wait())
        inner.cancel()
        await inner

    (result,) = (await make_health(HealthCheck("fragile", probe)).report()).checks
    assert (result.status, result.detail) == (Status.UNHEALTHY, "cancelled")


def test_a_thread_that_outlives_its_loop_does_no_harm():
    runs, release = [], threading.Event()

    def block() -> None:
        runs.append(1)
        release.wait(30)

    health = make_health(HealthCheck("blocked", block, timeout=0.01, cache=0))
    assert asyncio.run(health.report()).status is Status.UNHEALTHY
    late = [thread for thread in threading.enumerate() if thread.name == "health blocked"]
    release.set()
    for thread in late:
        thread.join()
    asyncio.run(health.report())
    assert len(runs) == 2


# -- readiness


async def test_readiness_follows_the_lifecycle():
    health = make_health()
    assert (await health.ready()).reason == "The service is starting."
    async with health.lifecycle.running():
        assert (await health.ready()).ready
        health.lifecycle.begin_drain()
        assert (await health.ready()).reason == "The service is draining."
    assert not (await health.ready()).ready


@pytest.mark.parametrize(
    ("probe", "critical", "ready"),
    [
        (BROKEN, True, False),
        (BROKEN, False, True),
        (answering(Degraded("slow")), True, True),
        (answering(Degraded("slow")), False, True),
    ],
)
async def test_only_a_critical_check_makes_the_service_not_ready(probe, critical, ready):
    health = make_health(HealthCheck("database", probe, critical=critical))
    async with health.lifecycle.running():
        readiness = await health.ready()
    assert readiness.ready is ready
    assert readiness.failing == (() if ready else ("database",))


# -- memory and disk


async def test_memory_and_disk_are_checked_without_being_asked():
    report = await make_health(settings=HealthSettings(memory_max_percent=100, disk_min_free_mib=1)).report()
    assert [(check.name, check.status, check.critical) for check in report.checks] == [
        ("memory", Status.HEALTHY, False),
        ("disk", Status.HEALTHY, False),
    ]


async def test_too_little_disk_or_memory_degrades_and_names_the_setting(tmp_path):
    settings = HealthSettings(memory_max_percent=0.001, disk_min_free_mib=2**40, disk_path=tmp_path)
    report = await make_health(settings=settings).report()
    assert report.status is Status.DEGRADED
    memory, disk = report.checks
    assert "HEALTH_MEMORY_MAX_PERCENT=0.001" in memory.detail
    assert "HEALTH_DISK_MIN_FREE_MIB=1099511627776" in disk.detail


async def test_the_disk_is_that_of_the_path_that_the_settings_name(tmp_path, monkeypatch):
    asked = []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or usage)
    settings = HealthSettings(memory_max_percent=0, disk_min_free_mib=1, disk_path=tmp_path)
    await make_health(settings=settings).report()
    assert asked == [tmp_path]


@pytest.mark.parametrize(
    ("setting", "left"), [("memory_max_percent", ["disk"]), ("disk_min_free_mib", ["memory"])]
)
async def test_zero_switches_a_built_in_check_off(setting, left):
    report = await make_health(settings=HealthSettings(**{setting: 0})).report()
    assert [check.name for check in report.checks] == left


class Cgroup:
    """A cgroup file system, version 2."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.own = root / "proc-self-cgroup"

    def limit(self, group: str, *, maximum: str, current: int = 0, inactive: int = 0) -> None:
        directory = self.root / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "memory.max").write_text(f"{maximum}\n")
        (directory / "memory.current").write_text(f"{current}\n")
        (directory / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")

    def memory(self) -> Memory | None:
        return container_memory(self.root, self.own)


@pytest.fixture
def cgroup(tmp_path: Path) -> Cgroup:
    found = Cgroup(tmp_path)
    found.own.write_text("1:name=systemd:/x\n0::/kube/pod\n")
    return found


def test_the_limit_is_that_of_the_container_and_page_cache_does_not_count(cgroup):
    cgroup.limit("kube/pod", maximum="1000", current=600, inactive=100)
    memory = cgroup.memory()
    assert memory == Memory(500, 1000, "container")
    assert memory.used_percent == 50


def test_the_limit_of_an_outer_group_counts_if_the_inner_one_has_none(cgroup):
    cgroup.limit("kube/pod", maximum="max", current=10)
    cgroup.limit("kube", maximum="2000", current=50)
    assert cgroup.memory() == Memory(50, 2000, "container")


def test_without_a_limit_there_is_no_container_memory(cgroup):
    cgroup.limit("kube/pod", maximum="max")
    assert cgroup.memory() is None


@pytest.mark.parametrize("text", ["", "4:memory:/docker/x\n", "0::/../outside\n"])
def test_other_kinds_of_groups_are_no_container(cgroup, text):
    cgroup.own.write_text(text)
    assert cgroup.memory() is None


def test_a_system_without_groups_has_no_container_memory(cgroup):
    cgroup.own.unlink()
    assert cgroup.memory() is None


def test_the_container_goes_before_the_machine(cgroup):
    system = System(HealthSettings(), cgroups=cgroup.root, own_cgroup=cgroup.own)
    assert "machine" in system.check_memory()
    cgroup.limit("kube/pod", maximum=str(64 * 2**20), current=32 * 2**20)
    assert system.check_memory() == "32 of 64 MiB used (50 %, container)"


def test_machine_memory_is_within_its_limit():
    memory = machine_memory()
    assert 0 < memory.used_bytes < memory.limit_bytes


# -- endpoints


def client_of(health: Health) -> httpx2.AsyncClient:
    app = Starlette(routes=[*health.routes(), *health.detailed_routes()])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://orders")


@pytest.fixture
async def broken() -> AsyncIterator[httpx2.AsyncClient]:
    error = ConnectionError("postgres://app:hunter2@db/orders refused")
    health = make_health(HealthCheck("database", answering(error)), HealthCheck("cache", WELL))
    async with health.lifecycle.running(), client_of(health) as client:
        yield client


@pytest.fixture
async def well() -> AsyncIterator[httpx2.AsyncClient]:
    health = make_health(
        HealthCheck("cache", BROKEN, critical=False),
        settings=HealthSettings(memory_max_percent=100, disk_min_free_mib=1),
    )
    async with health.lifecycle.running(), client_of(health) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "when_well", "when_broken"),
    [
        ("/health", 200, 503),
        ("/health/live", 200, 200),
        ("/health/ready", 200, 503),
        ("/health/detailed", 200, 503),
    ],
)
async def test_status_codes(well, broken, path, when_well, when_broken):
    assert (await well.get(path)).status_code == when_well
    assert (await broken.get(path)).status_code == when_broken


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/detailed"])
async def test_answers_are_not_stored_and_head_works(well, broken, path):
    for client in (well, broken):
        got, head = await client.get(path), await client.head(path)
        assert got.headers["cache-control"] == "no-store"
        assert (head.status_code, head.headers) == (got.status_code, got.headers)


async def test_liveness_asks_no_check():
    runs = []
    health = make_health(HealthCheck("database", lambda: runs.append(1)))
    async with health.lifecycle.running(), client_of(health) as client:
        assert (await client.get("/health/live")).status_code == 200
        assert runs == []


async def test_the_summary_names_the_service(well):
    assert (await well.get("/health")).json() == {
        "status": "degraded",
        "state": "ready",
        "service": "orders",
        "version": "1.2.3",
    }


async def test_a_service_that_is_not_ready_answers_with_a_problem(broken):
    response = await broken.get("/health/ready")
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["instance"]) == (503, "NOT_READY", "/health/ready")
    assert problem["detail"] == "A critical check fails: database."
    assert (problem["state"], problem["failing"]) == ("ready", ["database"])


async def test_a_draining_service_is_alive_and_not_ready():
    health = make_health()
    async with health.lifecycle.running(), client_of(health) as client:
        assert (await client.get("/health/ready")).json() == {"status": "ready", "health": "healthy"}
        health.lifecycle.begin_drain()
        refusal = await client.get("/health/ready")
        assert (refusal.status_code, refusal.json()["state"]) == (503, "draining")
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        assert (await client.get("/health")).json()["state"] == "draining"


async def test_the_detailed_report_shows_each_check_and_no_secret(broken):
    response = await broken.get("/health/detailed")
    assert "hunter2" not in response.text
    report = response.json()
    assert report["status"] == "unhealthy"
    assert report["uptime_seconds"] >= 0
    database, cache = report["checks"]
    assert database["detail"].startswith("ConnectionError: ")
    assert cache == {
        "name": "cache",
        "status": "healthy",
        "critical": True,
        "detail": None,
        "duration_ms": 0.0,
        "age_seconds": 0.0,
    }
    assert report["memory"] is None
    assert report["disk"] is None


async def test_the_detailed_report_has_the_numbers_of_memory_and_disk(well):
    report = (await well.get("/health/detailed")).json()
    assert 0 < report["memory"]["used_bytes"] < report["memory"]["limit_bytes"]
    assert 0 < report["memory"]["used_percent"] < 100
    assert 0 < report["disk"]["free_bytes"] <= report["disk"]["total_bytes"]
