"""The buffer: order, bounds, what is dropped and counted; a real process that is killed or has no reader."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chassis.logging.buffer import Buffer

PATIENCE = 30.0  # seconds until a test gives up waiting; none of them asserts a time
NEVER = 3_600.0

PROGRAM = """
import logging, os, signal, sys, threading, time
from chassis.logging import *
configure_logging(LoggingSettings(flush_interval=60, buffer_lines=1000), service="orders", environment="production")
log = get_logger("a")
access = AccessLog()
def request(number):
    fields = {"request_id": "%032x" % number}
    access.record(fields, "GET", "/items/{id}", f"/items/{number}", 200, 0.001, "c", "u", False)
"""


class Output:
    """A sink whose reader can be stopped, and which can refuse."""

    def __init__(self) -> None:
        self.dropped = 0
        self.flushed = 0
        self.lines: list[bytes] = []
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.refuses = False

    def write(self, line: bytes) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if self.refuses:
            self.dropped += line.count(b"\n")
        else:
            self.lines += line.splitlines(keepends=True)

    def flush(self) -> None:
        self.flushed += 1


Make = Callable[..., tuple[Buffer, Output]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[tuple[Buffer, Output]] = []

    def run(*, interval: float = NEVER, lines: int = 100) -> tuple[Buffer, Output]:
        output = Output()
        buffer = Buffer(
            output,
            interval=interval,
            most_lines=lines,
            render=lambda entries: [entry if type(entry) is bytes else b"%d\n" % entry for entry in entries],
            report=lambda count: b"dropped %d\n" % count,
        )
        made.append((buffer, output))
        return buffer, output

    yield run
    for buffer, output in made:
        output.open.set()
        buffer.close()


def run_python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def events(text: str) -> list[Any]:
    return [json.loads(line)["event"] for line in text.splitlines()]


# In one process


def test_lines_wait_and_leave_in_the_order_in_which_they_came(make: Make) -> None:
    buffer, output = make()
    buffer.write(b"a\n")
    buffer.put(1)
    buffer.write(b"b\n")
    assert output.lines == []
    buffer.flush()
    assert output.lines == [b"a\n", b"1\n", b"b\n"]
    assert output.flushed == 1


def test_lines_leave_by_themselves_after_the_interval(make: Make) -> None:
    buffer, output = make(interval=0.001)
    for number in range(3):
        buffer.put(number)
        assert output.reached.wait(PATIENCE)
        output.reached.clear()
    buffer.flush()
    assert output.lines == [b"0\n", b"1\n", b"2\n"]


def test_an_error_does_not_wait_for_the_interval(make: Make) -> None:
    buffer, output = make()
    buffer.put(1)
    buffer.hurry()
    assert output.reached.wait(PATIENCE)


def test_whoever_logs_does_not_wait_for_the_output(make: Make) -> None:
    buffer, output = make(lines=10)
    output.open.clear()
    buffer.write(b"held\n")
    buffer.hurry()
    assert output.reached.wait(PATIENCE)
    for number in range(25):
        buffer.put(number)
        buffer.hurry()
    assert buffer.dropped == 15
    output.open.set()
    buffer.flush()
    assert output.lines[:11] == [b"held\n", *(b"%d\n" % number for number in range(10))]
    assert output.lines[11:] == [b"dropped 15\n"]


def test_a_request_waits_for_no_lock(make: Make) -> None:
    buffer, output = make()
    buffer.put(1)
    done = threading.Event()
    with buffer._lock:
        threading.Thread(target=lambda: (buffer.put(2), done.set())).start()
        assert done.wait(PATIENCE)
    buffer.flush()
    assert output.lines == [b"1\n", b"2\n"]


def test_finished_lines_are_bounded_to_16_mib_too(make: Make) -> None:
    buffer, output = make()
    mebibyte = b"x" * (1024 * 1024 - 1) + b"\n"
    for _ in range(17):
        buffer.write(mebibyte)
    buffer.flush()
    assert len(output.lines) == 17
    assert output.lines[:16] == [mebibyte] * 16
    assert output.lines[16] == b"dropped 1\n"


def test_lines_that_the_output_refused_are_told_when_it_takes_some_again(make: Make) -> None:
    buffer, output = make()
    output.refuses = True
    buffer.put(1)
    buffer.put(2)
    buffer.flush()
    assert (buffer.dropped, output.lines) == (2, [])
    output.refuses = False
    buffer.put(3)
    buffer.flush()
    buffer.put(4)
    buffer.flush()
    assert output.lines == [b"3\n", b"dropped 2\n", b"4\n"]


def test_an_output_that_raises_does_not_end_the_log(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, output = make()
    take = output.write

    def fail(_: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(output, "write", fail)
    buffer.write(b"1\n")
    buffer.flush()
    monkeypatch.setattr(output, "write", take)
    buffer.write(b"2\n")
    buffer.flush()
    buffer.flush()
    assert output.lines == [b"2\n", b"dropped 1\n"]
    assert buffer.dropped == 1


def test_flushing_gives_up_on_an_output_that_takes_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.logging.buffer.FLUSH_SECONDS", 0.001)
    buffer, output = make()
    output.open.clear()
    buffer.put(1)
    buffer.flush()
    buffer.flush()
    assert output.lines == []


def test_only_the_first_who_waits_for_a_dead_output_waits_two_seconds(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Impatient:
        def acquire(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                waits.append(timeout)
            return timeout is None

        def release(self) -> None:
            """Nobody waits."""

    patched = SimpleNamespace(**{**vars(threading), "Lock": Impatient})
    monkeypatch.setattr("chassis.logging.buffer.threading", patched)
    buffer, output = make()
    output.open.clear()
    buffer.put(1)
    for _ in range(3):
        buffer.flush()
    assert waits == [2.0, 0.1, 0.1]


def test_what_comes_after_the_end_is_written_at_once(make: Make) -> None:
    buffer, output = make()
    buffer.put(1)
    buffer.close()
    buffer.put(2)
    buffer.write(b"c\n")
    assert output.lines == [b"1\n", b"2\n", b"c\n"]


def test_without_a_thread_to_be_had_lines_are_written_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer, output = make()

    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    buffer.put(1)
    buffer.write(b"b\n")
    assert output.lines == [b"1\n", b"b\n"]


def test_no_write_is_longer_than_a_pipe_takes_whole(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, output = make()
    sizes: list[int] = []
    write = output.write

    def noted(line: bytes) -> None:
        sizes.append(len(line))
        write(line)

    monkeypatch.setattr(output, "write", noted)
    lines = [b"x" * size + b"\n" for size in (10, 3_000, 3_000, 9_000, 20, 4_000, 100)]
    for line in lines:
        buffer.write(line)
    buffer.flush()
    assert output.lines == lines
    assert all(size <= 4_096 or size == 9_001 for size in sizes)


# A real process


def test_lines_are_there_at_the_end_of_the_process() -> None:
    done = run_python("log.info('one'); request(1); log.info('two')")
    assert events(done.stdout) == ["one", "request", "two"]


def test_lines_of_a_crash_are_there() -> None:
    done = run_python("log.info('one'); request(1); raise ValueError('x')")
    assert events(done.stdout) == ["one", "request", "uncaught exception"]
    assert done.stderr == ""


def test_lines_logged_while_the_process_ends_are_there() -> None:
    done = run_python(
        """
        import atexit
        atexit.register(lambda: log.info('last'))
        log.info('one')
        thread = threading.Thread(target=lambda: (threading.main_thread().join(), log.info('thread')))
        thread.start()
        """
    )
    assert sorted(events(done.stdout)) == ["last", "one", "thread"]


def test_a_child_by_fork_has_a_thread_of_its_own_and_no_line_twice() -> None:
    done = run_python(
        """
        log.info('parent')
        pid = os.fork()
        if pid == 0:
            log.info('child'); request(1)
            log.info(next(thread.name for thread in threading.enumerate() if thread.daemon))
            flush_logs()
            os._exit(0)
        os.waitpid(pid, 0)
        log.info('parent again')
        """
    )
    assert events(done.stdout) == ["parent", "child", "request", "logging", "parent again"]


def test_a_child_of_multiprocessing_loses_no_line() -> None:
    done = run_python(
        """
        import multiprocessing
        log.info('parent')
        child = multiprocessing.get_context('fork').Process(target=lambda: log.info('child'))
        child.start(); child.join()
        """
    )
    assert events(done.stdout) == ["parent", "child"]


def test_lines_of_many_threads_stay_whole_and_are_all_there() -> None:
    done = run_python(
        """
        def work(name):
            for number in range(100): log.info('x' * 100); request(number)
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    assert len(events(done.stdout)) == 800


@pytest.mark.parametrize(
    "call",
    [
        "log.info('one'); flush_logs()",
        "log.info('one'); sys.excepthook(ValueError, ValueError('x'), None)",
        "log.info('one'); thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()",
    ],
    ids=["flush_logs", "uncaught exception", "uncaught exception of a thread"],
)
def test_what_waits_until_all_is_written_leaves_nothing_to_lose(call: str) -> None:
    done = run_python(f"{call}; os._exit(0)")
    assert events(done.stdout)[0] == "one"


@pytest.mark.parametrize(("loop", "written"), [("uvloop", ["one"]), ("asyncio", [])])
def test_a_subprocess_is_a_fork_under_uvloop_alone(loop: str, written: list[str]) -> None:
    done = run_python(
        f"""
        import asyncio, {loop}
        async def main():
            log.info('one')
            child = await asyncio.create_subprocess_exec(sys.executable, '-c', '')
            await child.wait()
            os._exit(0)
        {loop}.run(main())
        """
    )
    assert events(done.stdout) == written


@pytest.mark.parametrize("level", ["error", "critical"])
def test_an_error_arrives_before_the_process_ends(level: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + f"log.info('one'); log.{level}('two'); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], PATIENCE)[0], "it waits for the interval of 60 s"
        assert events(process.stdout.readline() + process.stdout.readline()) == ["one", "two"]
        process.kill()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os._exit(5)", 5),
    ],
)
def test_a_sudden_end_costs_no_more_than_what_came_in_the_last_interval(end: str, code: int) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM
            + textwrap.dedent(
                """
                for number in range(300): request(number)
                flush_logs()
                for number in range(300, 400): request(number)
                """
            )
            + end,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    paths = [json.loads(line)["path"] for line in output.splitlines()]
    assert paths == [f"/items/{number}" for number in range(300)]


def test_a_pipe_that_nobody_reads_blocks_nothing_and_what_is_dropped_is_told() -> None:
    program = PROGRAM + textwrap.dedent(
        """
        for number in range(5000):
            request(number)
            if number % 100 == 0: log.error('error')
        sys.stderr.write(f"{dropped_lines()}\\n")
        sys.stderr.flush()
        sys.stdin.readline()
        flush_logs()
        log.info('later')
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        dropped = int(process.stderr.readline())  # it went on although nobody reads
        process.stdin.write("\n")
        process.stdin.close()
        found = [json.loads(line) for line in process.stdout]
        assert process.wait(PATIENCE) == 0
    told = sum(
        event["count"]
        for event in found
        if (event["event"], event["logger"]) == ("log lines dropped", "chassis.logging")
    )
    assert dropped > 0
    assert told == dropped
    assert len([event for event in found if event["event"] in {"request", "error"}]) == 5050 - dropped
    assert found[-1]["event"] == "later"


def test_a_process_whose_output_takes_nothing_ends() -> None:
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM + "for number in range(2000): request(number)\nflush_logs()"],
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        with process:
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
    finally:
        os.close(reader)
        os.close(writer)
