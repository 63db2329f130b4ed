"""Every logger of the process on one pipeline: fixed fields, context, masks, forms, hooks, fallbacks."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis import context
from chassis.app import Service, create_app
from chassis.logging import (
    AccessLog,
    LoggingSettings,
    StreamSink,
    configure_logging,
    dropped_lines,
    flush_logs,
    get_logger,
    log_api_call,
    log_database_operation,
    log_loop_exceptions,
    log_security_event,
    log_task,
    set_level,
    unconfigure_logging,
)
from chassis.logging.buffer import Buffer
from chassis.logging.configuration import QUIET
from chassis.logging.loggers import ACTIVE, StandardHandler
from chassis.logging.pipeline import FIXED, Pipeline
from chassis.logging.render import render_console, render_json, rich_renderer
from chassis.logging.settings import choose
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import EnvironmentName, ServiceSettings
from chassis.settings import Settings, load
from chassis.testing import capture_logs, running

SECRET = "hunter2-hunter2"
MODULE_LOGGER = structlog.get_logger()


def fail(error: BaseException) -> None:
    raise error


class Lines:
    """A sink that keeps the lines."""

    def __init__(self) -> None:
        self.dropped = 0
        self.flushed = 0
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        self.flushed += 1

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def text(self) -> str:
        return b"".join(self.lines).decode()


Configure = Callable[..., Lines]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Configure logging into a list of lines, and take it away after the test."""
    unconfigure_logging()

    def run(environment: str = "production", *, enrich: Any = None, **fields: Any) -> Lines:
        sink = Lines()
        configure_logging(
            LoggingSettings(**fields), service="orders", environment=environment, enrich=enrich, sink=sink
        )
        return sink

    yield run
    unconfigure_logging()


@pytest.fixture
def logs(configure: Configure) -> Lines:
    return configure(level="debug")


def run_python(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


CONFIGURED = """
import logging, sys, threading, warnings, asyncio, os
from chassis.logging import *
configure_logging(LoggingSettings(), service="orders", environment="production")
"""


# The fields


def test_the_fixed_fields_come_first_and_in_order(configure: Configure) -> None:
    logs = configure(caller=True, enrich=lambda: {"trace_id": "t", "span_id": "s"})
    token = context.enter({"request_id": "r", "user": "ann"})
    try:
        get_logger("orders.items").info("made", own=1)
    finally:
        context.leave(token)
    assert list(logs.last) == [name for name in FIXED if name not in {"exception", "stack"}] + ["user", "own"]
    assert logs.last["service"] == "orders"
    assert logs.last["environment"] == "production"
    assert logs.last["logger"] == "orders.items"
    assert logs.last["level"] == "info"
    assert (logs.last["request_id"], logs.last["trace_id"], logs.last["span_id"]) == ("r", "t", "s")


def test_the_traceback_comes_last(logs: Lines) -> None:
    try:
        fail(ValueError("x"))
    except ValueError:
        with context.bound(user="ann"):
            get_logger("a").exception("failed", stack_info=True, own=1)
    assert set(list(logs.last)[-2:]) == {"exception", "stack"}


async def test_what_a_request_binds_is_on_later_lines_of_its_tasks_and_threads(logs: Lines) -> None:
    async def task() -> None:
        get_logger("a").info("in a task")

    token = context.enter({"request_id": "r"})
    try:
        get_logger("a").info("before")
        context.bind(user="ann")
        get_logger("a").info("after")
        await asyncio.create_task(task())
        await asyncio.to_thread(get_logger("a").info, "in a thread")
    finally:
        context.leave(token)
    get_logger("a").info("outside")
    assert [event.get("user") for event in logs.events] == [None, "ann", "ann", "ann", None]


def test_the_time_is_utc_with_microseconds(logs: Lines) -> None:
    before = datetime.now(UTC)
    get_logger("x").info("now")
    logging.getLogger("x").info("now")
    for event in logs.events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])
        at = datetime.fromisoformat(event["timestamp"])
        assert abs((at - before).total_seconds()) < 60


@pytest.mark.parametrize("name", sorted(set(FIXED) - {"event", "exception", "stack"}))
def test_no_field_poses_as_a_fixed_one(logs: Lines, name: str) -> None:
    get_logger("real").info("one", **{name: "forged"})
    context_free = logs.last
    assert context_free[f"{name}_"] == "forged"
    assert context_free.get(name) != "forged"
    logging.getLogger("real").info("two", extra={name: "forged"})
    assert logs.last[f"{name}_"] == "forged"
    assert logs.last.get(name) != "forged"


def test_neither_does_the_context_nor_a_second_field(configure: Configure) -> None:
    logs = configure(enrich=lambda: {"level": "forged"})
    with context.bound(service="forged"):
        get_logger("x").info("e", service_="kept", exception="forged", stack="forged")
    event = logs.last
    assert event["service"] == "orders"
    assert event["level"] == "info"
    assert event["exception_"] == "forged"
    assert "exception" not in event
    assert event["stack_"] == "forged"
    assert event["service_"] == "kept"


def test_the_context_is_on_lines_of_both_kinds_of_loggers(logs: Lines) -> None:
    with context.bound(request_id="r", tenant="acme"):
        get_logger("a").info("one")
        logging.getLogger("b").info("two")
    for event in logs.events:
        assert (event["request_id"], event["tenant"]) == ("r", "acme")


def test_a_broken_source_of_fields_costs_no_line(configure: Configure) -> None:
    def broken() -> Mapping[str, object]:
        raise RuntimeError

    logs = configure(enrich=broken)
    get_logger("a").info("one")
    assert (logs.last["event"], logs.last["enrich_error"]) == ("one", "RuntimeError")


def test_the_caller_is_the_code_that_logs(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    logs = configure("development", format="json")
    get_logger("a").info("one")
    logging.getLogger("a").info("two")
    log_task("t", "succeeded")
    for event in logs.events:
        assert event["caller"]["file"] == "test_logging.py"
        assert event["caller"]["function"] == "test_the_caller_is_the_code_that_logs"
        assert event["caller"]["line"] > 0


def test_a_caller_in_a_package_is_told_from_its_folder(configure: Configure) -> None:
    logs = configure("development", format="json")
    record = logging.makeLogRecord(
        {"name": "a", "levelno": 20, "pathname": "/v/lib/site-packages/thing/part.py"}
    )
    logging.getLogger("a").handle(record)
    assert logs.last["caller"]["file"] == "thing/part.py"


def test_an_access_line_names_no_caller(configure: Configure) -> None:
    logs = configure("development", format="json")
    AccessLog().record({}, "GET", "/a", "/a", 200, 0.001, None, "", False)
    assert "caller" not in logs.last


def test_a_working_folder_that_is_gone_costs_nothing(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    logs = configure("development", format="json")
    get_logger("a").info("one")
    assert logs.last["caller"]["file"] == __file__


def test_the_caller_is_off_outside_development(logs: Lines) -> None:
    get_logger("a").info("one")
    assert "caller" not in logs.last


def test_a_logger_without_a_name_has_that_of_its_module(logs: Lines) -> None:
    MODULE_LOGGER.info("one")
    assert logs.last["logger"] == __name__


# The loggers


def test_structlog_methods_log_at_their_level(logs: Lines) -> None:
    log = get_logger("a")
    for name in ("debug", "info", "warning", "error", "critical", "msg", "warn", "fatal", "err"):
        getattr(log, name)("e")
    log.log(25, "e")
    log.log("WARN", "e")
    log.log(5, "not logged")
    assert [event["level"] for event in logs.events] == (
        "debug info warning error critical info warning critical error info warning".split()  # noqa: SIM905  # short
    )


async def test_asynchronous_methods_log_too(logs: Lines) -> None:
    log = get_logger("a")
    for name in ("adebug", "ainfo", "awarning", "aerror", "acritical"):
        await getattr(log, name)("e")
    try:
        fail(ValueError("x"))
    except ValueError:
        await log.aexception("e")
    assert [event["level"] for event in logs.events] == [
        "debug",
        "info",
        "warning",
        "error",
        "critical",
        "error",
    ]
    assert "ValueError: x" in logs.last["exception"]


def test_values_bound_to_a_logger_are_on_its_lines(logs: Lines) -> None:
    log = get_logger("a").bind(user="ann")
    log.info("one", n=1)
    log.unbind("user").info("two")
    assert logs.events[0]["user"] == "ann"
    assert "user" not in logs.events[1]


def test_arguments_are_put_into_the_message(logs: Lines) -> None:
    get_logger("a").info("%s is %d", "x", 1)
    get_logger("a").info("%(who)s", {"who": "ann"})
    logging.getLogger("a").info("%s is %d", "x", 1)
    logging.getLogger("a").info("%(who)s", {"who": "ann"})
    assert [event["event"] for event in logs.events] == ["x is 1", "ann"] * 2


@pytest.mark.parametrize("log", [get_logger("a"), logging.getLogger("a")], ids=["structlog", "stdlib"])
def test_arguments_that_do_not_fit_are_logged_and_do_not_raise(
    logs: Lines, log: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "%d of %d"
    log.info(message, "x")
    assert logs.last["event"] == "%d of %d"
    assert logs.last["args"] == ["x"]
    assert logs.last["log_error"] == "the arguments do not fit the message"
    assert capsys.readouterr().err == ""


def test_a_message_may_be_anything(logs: Lines) -> None:
    for message in (None, 5, ValueError("x"), {"password": SECRET}, b"bytes"):
        get_logger("a").info(message)
        logging.getLogger("a").info(message)
    assert SECRET not in logs.text
    assert logs.events[4]["event"] == "ValueError('x')"
    assert len(logs.lines) == 10


def test_the_standard_library_logs_extra_fields_exceptions_and_stacks(logs: Lines) -> None:
    try:
        fail(ValueError("x"))
    except ValueError:
        logging.getLogger("a.b").exception("failed", extra={"order": 5}, stack_info=True)
    assert logs.last["order"] == 5
    assert logs.last["level"] == "error"
    assert logs.last["exception"].startswith("Traceback")
    assert logs.last["exception"].endswith("ValueError: x")
    assert logs.last["stack"].startswith("Stack")
    assert "taskName" not in logs.last
    get_logger("a").info("here", stack_info=True)
    assert "test_the_standard_library_logs" in logs.last["stack"]


@pytest.mark.parametrize("level", [5, 10, 25, 60])
def test_a_level_of_its_own_is_logged_under_a_known_name(configure: Configure, level: int) -> None:
    logs = configure()
    logging.getLogger().setLevel(1)
    logging.getLogger("a").log(level, "e")
    assert logs.last["level"] in {"debug", "info", "critical"}


def test_a_filter_of_the_handler_is_respected(logs: Lines) -> None:
    handler = next(found for found in logging.getLogger().handlers if isinstance(found, StandardHandler))
    handler.addFilter(lambda record: record.name != "noisy")
    logging.getLogger("noisy").error("no")
    logging.getLogger("other").error("yes")
    assert [event["event"] for event in logs.events] == ["yes"]


def test_structlogs_own_capture_works_for_loggers_used_before(logs: Lines) -> None:
    log = get_logger("a")
    log.info("before")
    with structlog.testing.capture_logs() as captured:
        log.info("inside", n=1)
    log.info("after")
    assert captured == [{"event": "inside", "n": 1, "log_level": "info"}]
    assert [event["event"] for event in logs.events] == ["before", "after"]


def test_a_logger_used_before_works_after_a_new_configuration(configure: Configure) -> None:
    log = get_logger("a")
    first = configure()
    log.info("one")
    unconfigure_logging()
    second = configure()
    log.info("two")
    assert [event["event"] for event in (*first.events, *second.events)] == ["one", "two"]


def test_a_used_logger_still_masks_when_nothing_is_configured(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    log = get_logger("a")
    configure()
    log.info("one")
    unconfigure_logging()
    for _ in range(2):
        log.error("two", password=SECRET)
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["password"] == json.loads(second)["password"] == "hu***r2"


# Masking


class ChainedError(Exception):
    pass


def _raise_cause() -> None:
    raise KeyError(f"token={SECRET}")


def _raise_chain() -> None:
    try:
        _raise_cause()
    except KeyError as error:
        error.add_note(f"secret: {SECRET}")
        raise ChainedError(f"mail to ann@example.com with password={SECRET}") from error


def _log_everywhere() -> None:
    standard = logging.getLogger("some.child.of.a.library")
    log = get_logger("service.child")
    standard.info("password=%s", SECRET)
    standard.info(f"password={SECRET}")  # an f-string is what is tested
    standard.info("extra", extra={"apiKey": SECRET, "body": {"user": [{"pwd": SECRET}]}})
    standard.warning("%(password)s", {"password": f"token={SECRET}"})
    standard.info("header %s", {"Authorization": f"Bearer {SECRET}"})
    log.info("e", password=SECRET, url=f"https://u:{SECRET}@host/?token={SECRET}")
    log.info(f"secret={SECRET}")  # noqa: G004  # an f-string is what is tested
    log.bind(session=SECRET).info("bound")
    try:
        _raise_chain()
    except ChainedError:
        log.exception("chain", clientSecret=SECRET)
        standard.exception("chain")
        log.info("exc", stack_info=True, exc_info=True)
    try:
        fail(ExceptionGroup("g", [ValueError(f"password={SECRET}"), TypeError(f"pin: {SECRET}")]))
    except ExceptionGroup:
        log.exception("group")
    with context.bound(access_token=SECRET):
        log.info("context")
    AccessLog().record({}, "GET", "/x", f"/x?token={SECRET}", 200, 0.1, None, f"password={SECRET}", False)
    log_api_call(
        "t",
        method="GET",
        url=f"https://x/?api_key={SECRET}",
        duration_seconds=1,
        error=ValueError(f"pwd={SECRET}"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"password={SECRET}", stacklevel=1)
    logging.getLogger("sqlalchemy.engine").error("[parameters: {'password': '%s'}]", SECRET)
    logging.getLogger("uvicorn.error").error("secret=%s", SECRET)


@pytest.mark.parametrize("form", ["json", "console", "rich"])
def test_no_way_of_logging_shows_a_secret(configure: Configure, form: str) -> None:
    logs = configure(format=form, level="debug", caller=True)
    _log_everywhere()
    assert len(logs.lines) >= 18
    assert SECRET not in logs.text
    assert "ann@example.com" not in logs.text


def test_masking_settings_reach_the_pipeline(configure: Configure) -> None:
    logs = configure(mask_ips=True, sensitive_keys="employee, badge number")
    get_logger("a").info("from 192.168.10.20", employee=SECRET, badgeNumber=SECRET)
    assert logs.last["event"] == "from 19***20"
    assert logs.last["employee"] == logs.last["badgeNumber"] == "hu***r2"


def test_an_open_bracket_in_a_source_line_hides_no_more_than_its_frame(logs: Lines) -> None:
    def raise_it(password: object) -> None:
        raise RuntimeError("the reason")

    try:
        raise_it(password=[1,
                           2])  # fmt: skip
    except RuntimeError:
        get_logger("a").exception("e")
    assert logs.last["exception"].endswith("RuntimeError: the reason")


def test_a_private_key_over_several_lines_of_an_exception_is_hidden(logs: Lines) -> None:
    try:
        fail(
            ValueError(
                "bad key\n-----BEGIN PRIV" + "ATE KEY-----\nMIIEabc\nMIIEdef\n-----END PRIVATE KEY-----\nend"
            )
        )
    except ValueError as error:
        error.add_note("-----BEGIN PRIV" + "ATE KEY-----\nMIIEghi\n-----END PRIVATE KEY-----")
        get_logger("a").exception("e")
    assert "MIIE" not in logs.last["exception"]


# What Python itself prints


def test_an_uncaught_exception_is_one_masked_line_on_stdout() -> None:
    done = run_python(CONFIGURED + f"raise RuntimeError('password={SECRET}')")
    event = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == ""
    assert (event["level"], event["logger"]) == ("critical", "chassis.process")
    assert event["event"] == "uncaught exception"
    assert "RuntimeError: password=hu***r2" in event["exception"]
    assert SECRET not in done.stdout


def test_ctrl_c_is_left_to_python() -> None:
    done = run_python(CONFIGURED + "raise KeyboardInterrupt")
    assert done.stdout == ""
    assert "KeyboardInterrupt" in done.stderr


def test_threads_finalizers_tasks_and_warnings_are_logged_masked() -> None:
    done = run_python(
        CONFIGURED
        + f"""
class Broken:
    def __del__(self):
        raise ValueError("secret={SECRET}")

def fail():
    raise ValueError("token={SECRET}")

async def fail_later():
    raise ValueError("pwd={SECRET}")

async def main():
    log_loop_exceptions(asyncio.get_running_loop())
    task = asyncio.get_running_loop().create_task(fail_later())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    import gc
    gc.collect()
    asyncio.get_running_loop().call_exception_handler({{"message": None}})

for target in (fail, sys.exit):
    thread = threading.Thread(target=target, name="worker")
    thread.start()
    thread.join()
del Broken().x if False else None
""".replace(
            "del Broken().x if False else None",
            "Broken()\nasyncio.run(main())\nwarnings.simplefilter('always')\nwarnings.warn('pin: "
            + SECRET
            + "')\n",
        )
    )
    assert done.stderr == ""
    assert SECRET not in done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["event"], event["level"]) for event in events] == [
        ("uncaught exception in thread", "critical"),
        ("exception ignored", "error"),
        ("Task exception was never retrieved", "error"),
        ("unhandled exception in event loop", "error"),
        ("pin: hu***r2", "warning"),
    ]
    assert [event["logger"] for event in events] == [
        *("chassis.process", "chassis.process", "asyncio", "asyncio", "py.warnings")
    ]
    assert events[0]["thread"] == "worker"
    assert events[4]["category"] == "UserWarning"


def test_a_warning_for_a_file_is_left_to_what_was_there(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(warnings, "showwarning", lambda *arguments: calls.append(arguments))
    logs, file = configure(), io.StringIO()
    warnings.showwarning("careful", UserWarning, "x.py", 3, file)
    assert calls == [("careful", UserWarning, "x.py", 3, file, None)]
    assert logs.lines == []
    unconfigure_logging()


def test_an_interrupt_and_an_exit_of_a_thread_are_no_errors(logs: Lines) -> None:
    threading.excepthook(threading.ExceptHookArgs((SystemExit, SystemExit(), None, None)))
    threading.excepthook(threading.ExceptHookArgs((ValueError, None, None, None)))
    assert logs.lines == []
    threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("x"), None, None)))
    assert logs.last["thread"] is None


async def test_the_loops_own_logger_is_on_the_pipeline(logs: Lines) -> None:
    log_loop_exceptions(asyncio.get_running_loop())
    asyncio.get_running_loop().call_exception_handler(
        {"message": "m", "exception": ValueError("x"), "future": 5}
    )
    assert (logs.last["event"], logs.last["logger"], logs.last["future"]) == ("m", "asyncio", 5)
    asyncio.get_running_loop().set_exception_handler(None)


def test_lines_come_through_after_a_fork() -> None:
    done = run_python(
        CONFIGURED
        + """
log = get_logger("a")
log.info("parent")
pid = os.fork()
if pid == 0:
    log.info("child")
    logging.getLogger("b").warning("child too")
    flush_logs()
    os._exit(0)
os.waitpid(pid, 0)
log.info("parent again")
"""
    )
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == [
        "parent",
        "child",
        "child too",
        "parent again",
    ]


def test_a_lock_held_at_the_fork_does_not_stop_the_child() -> None:
    done = run_python(
        """
import os, threading
from chassis.logging import StreamSink
StreamSink()
sink = StreamSink()
held = threading.Event()
release = threading.Event()
def hold():
    with sink._lock:
        held.set()
        release.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    sink.write(b"child\\n")
    os._exit(0)
os.waitpid(pid, 0)
release.set()
thread.join()
"""
    )
    assert done.stdout == "child\n"


def test_importing_changes_nothing() -> None:
    done = run_python(
        """
import logging, sys, threading, warnings
before = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning,
          list(logging.getLogger().handlers), logging.getLogger().level)
import structlog
configured = structlog.is_configured()
import chassis.logging
after = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning,
         list(logging.getLogger().handlers), logging.getLogger().level)
assert before == after
assert configured == structlog.is_configured() == False
"""
    )
    assert done.returncode == 0, done.stderr


# Configuration


def test_the_first_call_wins(configure: Configure) -> None:
    first = configure()
    second = configure(level="debug")
    get_logger("a").debug("no")
    get_logger("a").info("yes")
    assert [event["event"] for event in first.events] == ["yes"]
    assert second.lines == []


def test_everything_is_put_back() -> None:
    unconfigure_logging()
    root = logging.getLogger()
    child = logging.getLogger("test_everything_is_put_back")
    stream = logging.StreamHandler(sys.stderr)
    child.addHandler(stream)
    child.propagate = False
    before = (list(root.handlers), root.level, sys.excepthook, threading.excepthook, sys.unraisablehook)
    raising = logging.raiseExceptions
    configure_logging(LoggingSettings(), service="s", environment="production", sink=Lines())
    assert child.handlers == []
    assert child.propagate
    unconfigure_logging()
    unconfigure_logging()
    assert (
        list(root.handlers),
        root.level,
        sys.excepthook,
        threading.excepthook,
        sys.unraisablehook,
    ) == before
    assert (child.handlers, child.propagate) == ([stream], False)
    assert logging.raiseExceptions == raising
    child.removeHandler(stream)
    child.propagate = True


def test_handlers_of_children_are_replaced_so_that_nothing_is_printed_in_clear(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    child = logging.getLogger("library.with.handler")
    child.addHandler(logging.StreamHandler(sys.stderr))
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addHandler(logging.StreamHandler(io.StringIO()))
    logs = configure()
    child.warning("password=%s", SECRET)
    uvicorn.warning("started")
    assert [event["event"] for event in logs.events] == ["password=hu***r2", "started"]
    assert capsys.readouterr().err == ""
    unconfigure_logging()
    child.handlers.clear()
    uvicorn.handlers.clear()


def test_a_handler_that_writes_elsewhere_stays_unless_it_is_uvicorns(configure: Configure) -> None:
    own, child = io.StringIO(), logging.getLogger("library.with.file")
    servers, uvicorn = io.StringIO(), logging.getLogger("uvicorn.error")
    child.addHandler(logging.StreamHandler(own))
    uvicorn.addHandler(logging.StreamHandler(servers))
    logs = configure()
    child.warning("one")
    uvicorn.warning("two")
    unconfigure_logging()
    child.handlers.clear()
    uvicorn.handlers.clear()
    assert [event["event"] for event in logs.events] == ["one", "two"]
    assert (own.getvalue(), servers.getvalue()) == ("one\n", "")


def test_other_handlers_of_the_root_logger_stay(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    configure()
    logging.getLogger("a").warning("seen")
    assert "seen" in caplog.text


def test_uvicorns_access_log_is_silent_and_free(configure: Configure) -> None:
    access = logging.getLogger("uvicorn.access")
    logs = configure()
    access.critical("GET /")
    assert logs.lines == []
    assert not access.hasHandlers()


@pytest.mark.parametrize(
    ("environment", "form"),
    [("development", "console"), ("staging", "json"), ("production", "json"), ("other", "json")],
)
def test_the_form_follows_the_environment(configure: Configure, environment: str, form: str) -> None:
    logs = configure(environment)
    get_logger("a").info("e")
    assert logs.text.startswith("{") == (form == "json")


def test_the_defaults() -> None:
    default = LoggingSettings()
    assert (default.level, default.levels, default.format, default.caller) == ("info", "", None, None)
    assert (default.mask_ips, default.sensitive_keys) == (False, "")
    assert (default.flush_interval, default.buffer_lines) == (None, 10_000)


@pytest.mark.parametrize(
    ("environment", "fields", "interval"),
    [
        ("production", {}, 0.2),
        ("staging", {}, 0.2),
        ("development", {}, 0),
        ("development", {"format": "json"}, 0),
        ("production", {"format": "console"}, 0),
        ("staging", {"format": "rich"}, 0),
        ("production", {"flush_interval": 0}, 0),
        ("development", {"flush_interval": 1.5}, 1.5),
    ],
)
def test_lines_wait_in_production_and_staging_unless_told_otherwise(
    environment: str, fields: dict[str, Any], interval: float
) -> None:
    assert choose(LoggingSettings(**fields), environment).flush_interval == interval
    unconfigure_logging()
    configure_logging(LoggingSettings(**fields), service="s", environment=environment)
    waits = isinstance(ACTIVE.get().sink, Buffer)
    unconfigure_logging()
    assert waits == (interval > 0)


@pytest.mark.parametrize(
    ("fields", "variable", "used"),
    [
        ({"level": "loud"}, "LOG_LEVEL", "info"),
        ({"format": "xml"}, "LOG_FORMAT", "json"),
        ({"caller": "perhaps"}, "LOG_CALLER", "false"),
        ({"mask_ips": "perhaps"}, "LOG_MASK_IPS", "true"),
        ({"levels": "a=INFO,nonsense,b=loud"}, "LOG_LEVELS", "the level of the loggers around"),
        ({"flush_interval": "soon"}, "LOG_FLUSH_INTERVAL", "0.2"),
        ({"flush_interval": "nan"}, "LOG_FLUSH_INTERVAL", "0.2"),
        ({"flush_interval": -1.0}, "LOG_FLUSH_INTERVAL", "0.2"),
        ({"buffer_lines": "many"}, "LOG_BUFFER_LINES", "10000"),
    ],
)
def test_a_broken_setting_gives_one_warning_and_a_working_logger(
    configure: Configure, fields: dict[str, Any], variable: str, used: str
) -> None:
    logs = configure(**fields)
    get_logger("a").debug("no")
    get_logger("a").info("yes")
    warning, event = logs.events
    assert (warning["level"], warning["variable"]) == ("warning", variable)
    assert warning["problem"]
    assert warning["used"] == used
    assert event["event"] == "yes"
    assert "caller" not in event


def test_a_broken_setting_from_the_environment_does_not_stop_the_service(configure: Configure) -> None:
    class Service(Settings):
        logging: LoggingSettings = LoggingSettings()

    environ = {
        "LOG_LEVEL": "loud",
        "LOG_CALLER": "perhaps",
        "LOG_MASK_IPS": "yes",
        "LOG_SENSITIVE_KEYS": "badge, desk",
    }
    found = load(Service, environ=environ).logging
    logs = configure(**found.model_dump())
    get_logger("a").info("10.20.30.40", badge=SECRET, desk=SECRET)
    assert [event.get("variable") for event in logs.events] == ["LOG_LEVEL", "LOG_CALLER", None]
    assert (logs.last["event"], logs.last["badge"], logs.last["desk"]) == ("10***40", "hu***r2", "hu***r2")


@pytest.mark.parametrize("value", ["true", "1", "ON", True])
def test_a_flag_may_be_written_in_many_ways(configure: Configure, value: object) -> None:
    logs = configure(caller=value, mask_ips=value)
    get_logger("a").info("10.20.30.40")
    assert "caller" in logs.last
    assert logs.last["event"] == "10***40"


def test_rich_without_the_package_falls_back_to_json(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    logs = configure(format="rich")
    get_logger("a").info("yes")
    assert logs.events[0]["variable"] == "LOG_FORMAT"
    assert logs.events[1]["event"] == "yes"


@pytest.mark.parametrize("terminal", [True, False])
def test_rich_has_colours_on_a_terminal_alone(terminal: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    unconfigure_logging()
    stream = Stream()
    configure_logging(
        LoggingSettings(format="rich"), service="s", environment="production", sink=StreamSink(stream)
    )
    get_logger("a").info("made")
    unconfigure_logging()
    assert "made" in stream.getvalue()
    assert bool(COLOUR.search(stream.getvalue())) == terminal


def test_rich_that_cannot_be_used_falls_back_to_json(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(io.StringIO):
        def isatty(self) -> bool:
            raise OSError("no terminal")

    unconfigure_logging()
    stream = Odd()
    configure_logging(
        LoggingSettings(format="rich"), service="s", environment="production", sink=StreamSink(stream)
    )
    unconfigure_logging()
    event = json.loads(stream.getvalue())
    assert (event["variable"], event["used"]) == ("LOG_FORMAT", "json")


def test_a_closed_standard_output_falls_back_to_standard_error() -> None:
    done = run_python(
        "import sys, structlog\nsys.stdout.close()\n" + CONFIGURED + "get_logger('a').info('yes')"
    )
    assert done.returncode == 0
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        "broken logging setting",
        "yes",
    ]


def test_no_standard_streams_at_all_are_survived() -> None:
    done = run_python(
        "import sys\nsys.stdout = sys.stderr = None\n"
        + CONFIGURED
        + "get_logger('a').info('no')\nflush_logs()\nsys.exit(3 if dropped_lines() == 2 else 4)"
    )
    assert done.returncode == 3


# Levels


def test_levels_of_single_loggers(configure: Configure) -> None:
    logs = configure(level="warning", levels="talky=DEBUG, quiet = error")
    for name in ("talky.child", "quiet.child", "other"):
        for kind in (get_logger(name), logging.getLogger(name)):
            for level in ("debug", "warning", "error"):
                getattr(kind, level)(level)
    seen = [(event["logger"], event["level"]) for event in logs.events]
    expected = [("talky.child", level) for level in ("debug", "warning", "error")] * 2
    expected += [("quiet.child", "error")] * 2
    expected += [("other", level) for level in ("warning", "error")] * 2
    assert seen == expected


def test_levels_change_while_the_process_runs(configure: Configure) -> None:
    logs = configure()
    log = get_logger("a.b")
    log.debug("no")
    set_level("a", "debug")
    log.debug("yes")
    logging.getLogger("a.c").debug("yes")
    set_level("root", logging.ERROR)
    set_level("a", "ERROR")
    log.warning("no")
    assert [event["event"] for event in logs.events] == ["yes", "yes"]
    assert log.bind().is_enabled_for(logging.ERROR)
    assert log.bind().get_effective_level() == logging.ERROR


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="none of debug, info"):
        set_level("a", "loud")


def test_chatty_libraries_are_quiet_unless_asked(configure: Configure) -> None:
    logs = configure(level="debug", levels="httpcore=DEBUG")
    logging.getLogger("httpx2").info("no")
    logging.getLogger("aiosqlite").debug("no")
    logging.getLogger("httpcore.connection").debug("yes")
    logging.getLogger("httpx2").warning("warned")
    logging.getLogger("aiosqlite").info("told")
    assert [event["event"] for event in logs.events] == ["yes", "warned", "told"]


@pytest.mark.parametrize("name", sorted(QUIET))
def test_each_quiet_library_can_be_heard(configure: Configure, name: str) -> None:
    logs = configure(levels=f"{name}=debug")
    logging.getLogger(name).debug("yes")
    assert [event["logger"] for event in logs.events] == [name]


# Forms


UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RENDERERS = {
    "json": render_json,
    "console": render_console,
    "rich": rich_renderer(color=True),
    "rich without colour": rich_renderer(color=False),
}
nasty = st.text(
    st.sampled_from(
        "ab=\"' \\\n\r\t\x00\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\u200b\ufeff\ud800é\U000e0041[m{}"
    )
    | st.characters(),
    max_size=20,
)


@pytest.mark.parametrize("form", RENDERERS)
@given(texts=st.tuples(nasty, nasty, nasty, nasty, nasty))
@settings(max_examples=60, deadline=None)
def test_no_text_starts_a_line_or_moves_the_cursor(form: str, texts: tuple[str, str, str, str, str]) -> None:
    event, key, value, logger, request_id = texts
    sink = Lines()
    pipeline = Pipeline(sink, service="s", environment="e", render=RENDERERS[form])
    with context.bound(request_id=request_id):
        pipeline.emit(logger, "info", event, {key: value, "deep": [{key: [value]}]})
    line = COLOUR.sub("", sink.text) if form == "rich" else sink.text
    assert line.endswith("\n")
    assert not UNSAFE.search(line[:-1])
    assert len(line.splitlines()) == 1
    if form == "json":
        assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize("form", RENDERERS)
def test_what_could_forge_a_line_is_shown_as_an_escape(form: str) -> None:
    sink = Lines()
    unsafe = {"a": "\n", "b": "\x1b", "c": "\u2028", "d": "\u202e"}
    fields = {f"key{sign}": f"value{sign}" for sign in unsafe.values()}
    Pipeline(sink, render=RENDERERS[form]).emit("a", "info", "".join(unsafe.values()), fields)
    line = COLOUR.sub("", sink.text)
    for sign in unsafe.values():
        shown = json.dumps(sign)[1:-1]
        assert f"key{shown}" in line or f"key\\u{ord(sign):04x}" in line
        assert f"value{shown}" in line or f"value\\u{ord(sign):04x}" in line
    assert all(f"\\u{ord(sign):04x}" in line for sign in "\x1b\u2028\u202e")


def test_rich_is_the_console_form_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.logging.pipeline.timestamp", lambda _: "2026-11-20T00:00:00.000000Z")
    sinks = {form: Lines() for form in ("console", "rich", "rich without colour")}
    for form, sink in sinks.items():
        fields = {"n": 1, "t": "x y", "d": {"k": [1]}}
        Pipeline(sink, service="s", render=RENDERERS[form]).emit("a", "info", "made it", fields)
    plain = sinks["console"].text
    assert sinks["rich without colour"].text == COLOUR.sub("", sinks["rich"].text) == plain
    assert sinks["rich"].text != plain


@pytest.mark.parametrize("form", ["console", "rich", "rich without colour"])
@given(message=nasty)
@settings(max_examples=40, deadline=None)
def test_every_line_of_a_traceback_is_indented(form: str, message: str) -> None:
    sink = Lines()
    try:
        fail(ValueError(message))
    except ValueError as error:
        Pipeline(sink, render=RENDERERS[form]).emit("a", "error", "e", {}, exc_info=error)
    lines = COLOUR.sub("", sink.text).split("\n")
    assert all(line.startswith("    ") for line in lines[1:-1])
    assert not any(UNSAFE.search(line) for line in lines)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


objects = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | nasty
    | st.binary()
    | st.builds(Broken)
    | st.builds(object)
    | st.builds(BrokenError)
    | st.just(2**200),
    lambda inner: (
        st.lists(inner) | st.dictionaries(nasty | st.integers() | st.none(), inner) | st.tuples(inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("form", RENDERERS)
@given(event=objects, value=objects)
@settings(max_examples=60, deadline=None)
def test_any_object_can_be_logged(form: str, event: object, value: object) -> None:
    sink = Lines()
    Pipeline(sink, render=RENDERERS[form]).emit("a", "info", event, {"value": value})
    assert "could not be rendered" not in sink.text
    if form == "json":
        assert json.loads(sink.lines[0])["logger"] == "a"


@given(objects)
@settings(deadline=None)
def test_the_json_form_takes_any_object_by_itself(value: object) -> None:
    assert isinstance(json.loads(render_json({"value": value})), dict)


def test_the_json_form_names_an_object_whose_repr_fails() -> None:
    assert json.loads(render_json({"x": Broken()})) == {"x": "<Broken whose repr raised RuntimeError>"}


def test_code_without_a_caller_is_told_so() -> None:
    assert (
        run_python(
            """
import inspect
from chassis.logging import pipeline
pipeline.is_internal = lambda frame: True
print(pipeline.find_caller())
"""
        ).stdout
        == "{'file': '?', 'line': 0, 'function': '?'}\n"
    )


def test_json_stays_the_same_text_when_it_is_escaped() -> None:
    text = "a\u2028b\x7fc\U000e0041d\u202ee"
    line = render_json({"t": text})
    assert line.isascii()
    assert json.loads(line) == {"t": text}


def test_a_circle_in_an_event_is_named() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert json.loads(render_json({"c": circle}))["c"]
    sink = Lines()
    Pipeline(sink).emit("a", "info", "e", {"c": circle})
    assert sink.last["c"] == ["<circular>"]


def test_a_renderer_that_fails_leaves_a_line() -> None:
    def broken(_: Mapping[str, object]) -> bytes:
        raise RuntimeError

    sink = Lines()
    Pipeline(sink, service="s", render=broken).emit("a", "error", "e", {})
    assert sink.last["event"] == "log event could not be rendered"
    assert sink.last["error"] == "RuntimeError"


@pytest.mark.parametrize("exc_info", [None, False, 0, (None, None, None), ()])
def test_no_exception_no_traceback(exc_info: object) -> None:
    sink = Lines()
    Pipeline(sink).emit("a", "info", "e", {}, exc_info=exc_info)
    assert "exception" not in sink.last


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    class HostileError(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]
            raise RuntimeError

    sink = Lines()
    for error in (BrokenError(), HostileError("x")):
        Pipeline(sink).emit("a", "error", "e", {}, exc_info=error)
        assert type(error).__name__ in sink.last["exception"]


def test_long_and_deep_tracebacks_are_cut() -> None:
    def deep(times: int) -> None:
        if times:
            deep(times - 1)
        raise ValueError("x" * 60_000)

    sink = Lines()
    try:
        deep(300)
    except ValueError as error:
        error.add_note("y" * 60_000)
        Pipeline(sink).emit("a", "error", "e", {}, exc_info=error)
    assert len(sink.last["exception"]) < 66_000
    assert sink.last["exception"].startswith("Traceback")
    assert "characters cut]" in sink.last["exception"]


def test_the_console_form_is_key_and_value() -> None:
    sink = Lines()
    pipeline = Pipeline(sink, service="s", render=render_console, caller=True)
    pipeline.emit("a", "info", "made it", {"n": 1, "t": "x y", "d": {"k": [1]}, "none": None})
    assert re.fullmatch(
        r'\S+Z info     made it logger=a n=1 t="x y" d=\{"k":\[1\]\} none=null caller=\S+:\d+:\w+\n',
        sink.text,
    )


# The sink


def test_lines_are_written_to_the_standard_output_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    StreamSink().write(b"caf\xc3\xa9\n")
    assert capsys.readouterr().out == "café\n"


def test_a_text_stream_is_enough() -> None:
    stream = io.StringIO()
    sink = StreamSink(stream)
    sink.write(b"caf\xc3\xa9\xff\n")
    sink.flush()
    assert stream.getvalue() == "café\\xff\n"


class Grudging(io.RawIOBase):
    """A raw file that takes a few bytes at a time, and nothing when it is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        part = bytes(data)[: min(3, self.room)]
        self.taken += part
        self.room -= len(part)
        return len(part) or None


def test_a_line_that_is_taken_in_parts_is_whole() -> None:
    raw = Grudging(room=100)
    StreamSink(io.TextIOWrapper(io.BufferedWriter(raw))).write(b"0123456789\n")
    assert raw.taken == b"0123456789\n"


def test_a_line_that_was_torn_is_counted_and_ended_before_the_next() -> None:
    raw = Grudging(room=5)
    sink = StreamSink(io.TextIOWrapper(io.BufferedWriter(raw)))
    sink.write(b"0123456789\n")
    assert sink.dropped == 1
    raw.room = 100
    sink.write(b"next\n")
    assert raw.taken == b"01234\nnext\n"


def test_a_stream_that_raises_what_no_stream_should_drops_and_counts() -> None:
    class Reentered(io.StringIO):
        def write(self, _: str) -> int:
            raise RuntimeError("reentrant call")  # as a signal handler that logs meets it

        def flush(self) -> None:
            raise RuntimeError("reentrant call")

    sink = StreamSink(Reentered())
    sink.write(b"x\n")
    sink.flush()
    assert sink.dropped == 1


def test_a_closed_stream_drops_and_counts() -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    sink = StreamSink(stream)
    stream.close()
    sink.write(b"x\n")
    sink.flush()
    assert sink.dropped == 1


def test_a_reader_that_goes_away_harms_nobody() -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CONFIGURED
            + "input()\n"
            + "for _ in range(5): get_logger('a').info('x')\nlogging.getLogger('b').error('y')\nflush_logs()\n"
            + "sys.exit(7 if dropped_lines() == 6 else 8)",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait(60) == 7
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_full_disk_harms_nobody() -> None:
    done = subprocess.run(
        [
            "sh",
            "-c",
            '"$0" -c "$1" > /dev/full',
            sys.executable,
            CONFIGURED
            + "get_logger('a').info('x')\nflush_logs()\nsys.exit(7 if dropped_lines() == 1 else 8)",
        ],
        check=False,
        timeout=60,
        capture_output=True,
    )
    assert done.returncode == 7
    assert done.stderr == b""


def test_lines_of_many_threads_stay_whole() -> None:
    done = run_python(
        CONFIGURED
        + """
log = get_logger("a")
def run():
    for _ in range(50):
        log.info("x" * 3000, n=1)
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 400


def test_a_signal_handler_may_log_while_a_line_is_written() -> None:
    sink = StreamSink(io.StringIO())
    with sink._lock:
        sink.write(b"inside\n")
    assert sink.dropped == 0


def test_flushing_reaches_the_sink(logs: Lines) -> None:
    flush_logs()
    assert logs.flushed == 1
    assert dropped_lines() == 0


# Events with fixed names


def test_an_api_call(logs: Lines) -> None:
    log_api_call("billing", method="GET", url="https://b/x", status=200, duration_seconds=0.0125, attempt=2)
    event = logs.last
    assert (event["event"], event["logger"], event["level"]) == ("api_call", "chassis.api", "info")
    assert (event["target"], event["method"], event["url"]) == ("billing", "GET", "https://b/x")
    assert (event["status"], event["duration_ms"], event["attempt"]) == (200, 12.5, 2)
    for status, error, level in ((404, None, "warning"), (503, None, "error"), (None, OSError("x"), "error")):
        log_api_call("b", method="GET", url="u", status=status, duration_seconds=1, error=error)
        assert logs.last["level"] == level
    assert logs.last["error"] == "OSError: x"
    assert "status" not in logs.last or logs.last["status"] is None


def test_a_task(logs: Lines) -> None:
    log_task("mail", "succeeded", duration_seconds=1.5, attempt=1, queue="q")
    event = logs.last
    assert (event["event"], event["logger"], event["level"]) == ("task", "chassis.tasks", "info")
    assert (event["task"], event["outcome"], event["duration_ms"], event["queue"]) == (
        "mail",
        "succeeded",
        1500,
        "q",
    )
    assert event["attempt"] == 1
    log_task("mail", "failed", error=ValueError("x"))
    assert (logs.last["level"], logs.last["error"]) == ("error", "ValueError: x")


@pytest.mark.parametrize(
    ("severity", "level"),
    [("low", "info"), ("medium", "warning"), ("high", "error"), ("critical", "critical"), ("odd", "warning")],
)
def test_a_security_event(logs: Lines, severity: str, level: str) -> None:
    log_security_event(
        "login", severity=severity, outcome="denied", actor="ann", client="c", reason="r", ip="i"
    )
    event = logs.last
    assert (event["event"], event["logger"], event["level"]) == ("security_event", "chassis.security", level)
    assert (event["kind"], event["outcome"], event["actor"], event["client"]) == (
        "login",
        "denied",
        "ann",
        "c",
    )
    assert (event["reason"], event["ip"], event["severity"]) == ("r", "i", severity)


def test_a_database_operation(logs: Lines) -> None:
    log_database_operation("select", table="items", duration_seconds=0.002, rows=3, pool="p")
    event = logs.last
    assert (event["event"], event["logger"], event["level"]) == (
        "database_operation",
        "chassis.database",
        "debug",
    )
    assert (event["operation"], event["table"], event["rows"], event["duration_ms"]) == (
        "select",
        "items",
        3,
        2,
    )
    log_database_operation("select", error=OSError("x"))
    assert (logs.last["level"], logs.last["error"]) == ("error", "OSError: x")


@pytest.mark.parametrize(
    ("status", "quiet", "level"),
    [
        (200, False, "info"),
        (200, True, "debug"),
        (404, True, "warning"),
        (404, False, "warning"),
        (500, False, "error"),
        (503, True, "warning"),
    ],
)
def test_an_access_line(logs: Lines, status: int, quiet: bool, level: str) -> None:
    AccessLog().record(
        {"request_id": "r", "bytes": 5},
        "GET",
        "/items/{id}",
        "/items/5",
        status,
        0.0012345,
        "c",
        "agent",
        quiet,
    )
    event = logs.last
    assert (event["event"], event["logger"], event["level"]) == ("request", "chassis.access", level)
    assert (event["method"], event["route"], event["path"]) == ("GET", "/items/{id}", "/items/5")
    assert (event["status"], event["duration_ms"], event["client"]) == (status, 1.234, "c")
    assert (event["user_agent"], event["bytes"], event["request_id"]) == ("agent", 5, "r")
    assert "request_id_" not in event


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/a" * 1024, "/a" * 1024), ("/a" * 1024 + "/", "/a" * 1023 + "/..."), ("/" + "x" * 60_000, "/...")],
)
def test_a_long_path_is_cut_at_one_of_its_slashes(logs: Lines, path: str, shown: str) -> None:
    AccessLog().record({}, "GET", "unmatched", path, 404, 0.0, None, "", False)
    assert logs.last["path"] == shown


def test_events_can_be_logged_before_logging_is_configured() -> None:
    program = """
from chassis.logging import *
log_api_call("billing", method="GET", url="http://billing", duration_seconds=1)
log_task("mail", outcome="done")
log_security_event("login", severity="high")
log_database_operation("select")
AccessLog().record({}, "GET", "/", "/", 200, 0.0, None, "", False)
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_an_access_line_without_a_client(logs: Lines) -> None:
    AccessLog().record({}, "GET", "/", "/", 200, 0.0, None, "", False)
    assert "client" not in logs.last


# A whole service


@pytest.fixture
def service() -> Service:
    service = create_app(ServiceSettings(rate_limiting=RateLimitSettings(enabled=False)))

    @service.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @service.get("/{status}")
    async def answer(status: int) -> Response:
        return Response(status_code=status)

    return service


async def left(*_: object) -> dict[str, Any]:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("method", "path", "status", "level"),
    [
        ("GET", "/200", 200, "info"),
        ("GET", "/404", 404, "warning"),
        ("GET", "/503", 503, "error"),
        ("GET", "/health/live", 200, "debug"),
        ("GET", "/health/ready", 503, "warning"),
        ("GET", "/metrics", 200, "debug"),
        ("POST", "/length", 499, "warning"),
    ],
)
async def test_a_request_whose_client_has_left_is_one_access_line(
    service: Service, method: str, path: str, status: int, level: str
) -> None:
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": []}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "client": ("192.0.2.1", 1)}
    with capture_logs(LoggingSettings(level="debug")) as logs:
        await service(scope, left, left)
    event = logs.one("request")
    assert (event["status"], event["level"], event["logger"]) == (status, level, "chassis.access")
    assert event.keys() >= {"method", "route", "path", "duration_ms", "client", "user_agent"}


async def test_lines_are_written_at_the_end_of_the_lifespan(capsys: pytest.CaptureFixture[str]) -> None:
    unconfigure_logging()
    log = LoggingSettings(flush_interval=60)
    service = create_app(ServiceSettings(environment=EnvironmentName.STAGING, logging=log))
    async with running(service):
        get_logger("a").info("waits")
        assert "waits" not in capsys.readouterr().out
    out = capsys.readouterr().out
    unconfigure_logging()
    assert "waits" in out
