"""The garbage collector while a service starts, inside the test's process."""

import gc
import sys
import types
import weakref
from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.applications import Starlette

from chassis.logging import unconfigure_logging
from chassis.server.collector import freeze, held
from chassis.server.signals import Stop
from chassis.server.sockets import open_sockets
from chassis.server.worker import Worker
from chassis.service_settings import ServerSettings, ServiceSettings


class Node:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    gc.unfreeze()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def test_nothing_is_collected_while_it_is_held() -> None:
    with held():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_built_is_frozen() -> None:
    with held():
        kept = [object()]
        freeze()
    assert gc.get_freeze_count() > 0
    assert not any(one is kept for one in gc.get_objects())


def test_a_build_that_fails_lets_it_go() -> None:
    with pytest.raises(ZeroDivisionError), held():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with held():
        pass
    freeze()
    assert not gc.isenabled()


def test_what_is_only_imported_is_old_and_not_frozen() -> None:
    with held():
        kept = [object()]
    assert gc.get_freeze_count() == 0
    assert any(one is kept for one in gc.get_objects(generation=2))


def test_what_was_frozen_before_stays_so() -> None:
    frozen = [object()]
    gc.freeze()
    with held():
        pass
    assert not any(one is frozen for one in gc.get_objects())


def test_the_garbage_of_the_start_is_not_kept() -> None:
    garbage = weakref.ref(Node())
    freeze()
    assert garbage() is None


def test_a_worker_builds_with_it_held_and_serves_with_it_running(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    stop = Stop()

    def create_app(settings: object = None) -> Starlette:
        seen["building"] = gc.isenabled()
        return Starlette()

    def ready() -> None:
        seen["serving"] = gc.isenabled()
        seen["frozen"] = gc.get_freeze_count() > 0
        stop.request()

    module = types.ModuleType("held_service")
    module.create_app = create_app
    monkeypatch.setitem(sys.modules, "held_service", module)
    settings = ServiceSettings(server=ServerSettings(host="127.0.0.1", port=0))
    with closing(open_sockets(settings.server)) as sockets:
        worker = Worker(
            "held_service:create_app", settings, sockets, stop=stop, on_ready=ready, drain_delay=0.0
        )
        code = worker.run()
    unconfigure_logging()
    assert (code, seen) == (0, {"building": False, "serving": True, "frozen": True})
