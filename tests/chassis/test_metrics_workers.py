"""Several workers tell the metrics of the whole service, whichever of them answers the scrape."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from log_capture import capture_logs

from chassis.app import create_app
from chassis.metrics import Metrics, MetricsSettings, shared_directory
from chassis.metrics import directory as directories
from chassis.metrics.exchange import Exchange
from chassis.metrics.families import Family
from chassis.metrics.service import SNAPSHOT_SECONDS
from chassis.service_settings import ServiceSettings
from chassis.testing import connect

DEADLINE_SECONDS = 30
SERIES = 'service_requests_total{method="GET",route="/",status="200"}'


def counter(value: float) -> Family:
    return Family(name="hits", type="counter", help="", samples={"hits_total": value})


def samples(families: list[Family]) -> dict[str, float]:
    return {key: value for family in families for key, value in family.samples.items()}


# Which directory, and whether there is one.


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


class Parent:
    pid = os.getpid()


@pytest.fixture
def worker_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.process, "parent_process", Parent)


def make(**settings: object) -> Metrics:
    return Metrics(MetricsSettings(**settings), service="my orders", version="1")


def count(metrics: Metrics, times: int = 1) -> None:
    for _ in range(times):
        metrics.requests.started()
        metrics.requests.finished("GET", "/", 200, 0.01)


def told(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render()[0].decode().splitlines()
    return {
        series: float(value)
        for series, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def test_a_process_that_multiprocessing_did_not_start_has_no_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert directories.worker_directory(MetricsSettings(), "orders") is None
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    assert directories.worker_directory(MetricsSettings(), "orders") is None


@pytest.mark.usefixtures("worker_process")
def test_workers_of_one_parent_derive_the_directory_that_the_parent_removes(temporary: Path) -> None:
    with shared_directory(MetricsSettings()) as shared:
        one, other = make(), make()
        one.start()
        other.start()
        assert shared.is_relative_to(temporary)
        assert (shared / "my_orders").is_dir()
        assert shared.name.startswith(f"{os.getpid()}-")
        assert shared.parent.stat().st_mode & 0o077 == 0
        count(one, 2)
        count(other, 3)
        assert told(other)[SERIES] >= 3
        assert told(one)[SERIES] == 5
        one.close()
        other.close()
        assert told(one)[SERIES] == 5
    assert not shared.exists()


def test_workers_of_another_kind_share_the_directory_of_the_setting(tmp_path: Path) -> None:
    settings = MetricsSettings(directory=tmp_path / "metrics")
    with shared_directory(settings) as shared:
        one, other = (Metrics(settings, service="orders", version="1") for _ in range(2))
        one.start()
        one.start()
        other.start()
        count(other, 3)
        other.close()
        other.close()
        assert told(one)[SERIES] == 3
        one.close()
    assert shared == tmp_path / "metrics"
    assert shared.exists()


@pytest.mark.usefixtures("worker_process")
def test_what_earlier_runs_left_is_removed_unless_it_is_in_use(temporary: Path) -> None:
    metrics = make()
    metrics.start()
    root = temporary / f"chassis-metrics-{os.geteuid()}"
    for name in ("999999999-1", "999999999-2", f"{os.getpid()}-0", "other"):
        (root / name / "orders").mkdir(parents=True)
    used = Exchange(root / "999999999-2" / "orders")
    used.write([counter(1)])
    (root / "999999999-1" / "orders" / "1-a.json").symlink_to("nowhere")
    metrics.close()
    again = make()
    again.start()
    again.close()
    left = {path.name for path in root.iterdir()}
    assert left == {"999999999-2", "other", directories._run_directory(os.getpid()).name}
    used.close([])


@pytest.mark.usefixtures("worker_process")
@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_directory_that_another_user_could_have_made_is_not_used(temporary: Path, trap: str) -> None:
    root = temporary / f"chassis-metrics-{os.geteuid()}"
    if trap == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        root.symlink_to(temporary / "elsewhere")
    elif trap == "open":
        root.mkdir()
        root.chmod(0o777)
    else:
        root.write_text("")
    metrics = make()
    with capture_logs() as logs:
        metrics.start()
    count(metrics)
    assert told(metrics)[SERIES] == 1
    assert "METRICS_DIR" in logs[0]["event"]
    metrics.close()


def test_a_directory_that_vanishes_leaves_a_worker_its_own_metrics(tmp_path: Path) -> None:
    metrics = make(directory=tmp_path / "metrics")
    metrics.start()
    count(metrics)
    shutil.rmtree(tmp_path / "metrics")
    with capture_logs() as logs:
        assert told(metrics)[SERIES] == 1
        metrics.close()
    assert {line["log_level"] for line in logs} == {"warning"}


def test_every_second_a_worker_publishes_even_if_its_event_loop_is_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SNAPSHOT_SECONDS == 1
    monkeypatch.setattr("chassis.metrics.service.SNAPSHOT_SECONDS", 0.01)
    metrics = make(directory=tmp_path)
    metrics.start()
    reader = Exchange(tmp_path / "my_orders")
    count(metrics, 4)
    until(lambda: samples(reader.merged([])).get(SERIES) == 4)
    metrics.close()


@pytest.mark.parametrize("lifespan", [True, False])
async def test_nothing_is_exchanged_without_a_lifespan(tmp_path: Path, lifespan: bool) -> None:
    shared = tmp_path / "metrics"
    settings = ServiceSettings(metrics=MetricsSettings(directory=shared))
    async with connect(create_app(settings), lifespan=lifespan) as client:
        assert (await client.get("/metrics")).status_code == 200
    assert shared.exists() is lifespan


def test_a_request_does_not_wait_for_a_snapshot_that_is_being_written() -> None:
    metrics = make()
    counted = threading.Event()
    with metrics._lock:
        threading.Thread(target=lambda: (count(metrics), counted.set())).start()
        assert counted.wait(DEADLINE_SECONDS)
    assert told(metrics)[SERIES] == 1


def test_a_disk_that_stays_full_is_told_once_and_its_end_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = make(directory=tmp_path)
    metrics.start()
    reader = Exchange(tmp_path / "my_orders")
    count(metrics)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(Exchange, "write", full)
        assert told(metrics)[SERIES] == told(metrics)[SERIES] == 1
    assert [line["event"] for line in logs] == ["metrics cannot be shared with the other workers"]
    told(metrics)
    assert samples(reader.merged([]))[SERIES] == 1
    metrics.close()


def test_a_process_is_told_from_the_next_one_of_its_id_on_other_systems_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert directories._started(os.getpid()) == directories._started(os.getpid()) is not None
    assert directories._started(999_999_999) is None


def test_without_metrics_nothing_is_shared(tmp_path: Path) -> None:
    metrics = make(directory=tmp_path / "metrics", enabled=False)
    metrics.start()
    metrics.close()
    assert list(tmp_path.iterdir()) == []


# Real processes.


def until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


WORKERS = """
import json, multiprocessing, os, signal, sys, time

from chassis.metrics import Metrics, MetricsSettings, shared_directory


def worker(pipe):
    metrics = Metrics(MetricsSettings(), service="orders", version="1")
    metrics.start()
    gauge = metrics.gauge("service_level", "A level.", aggregation="sum")
    gauge.set(1)
    while (order := pipe.recv()) != "exit":
        for _ in range(order):
            metrics.requests.started()
            metrics.requests.finished("GET", "/", 200, 0.01)
        pipe.send(metrics.render()[0].decode())
    metrics.close()


def start(context):
    here, there = context.Pipe()
    process = context.Process(target=worker, args=(there,))
    process.start()
    return process, here


def ask(pipe, order):
    pipe.send(order)
    answer = dict(line.rsplit(" ", 1) for line in pipe.recv().splitlines() if line[0] != "#")
    series = 'service_requests_total{method="GET",route="/",status="200"}'
    return float(answer.get(series, 0)), float(answer["service_level"]), float(
        answer.get('service_request_duration_seconds_count{method="GET",route="/"}', 0)
    )


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with shared_directory(MetricsSettings()) as directory:
        workers = [start(context) for _ in range(3)]
        told = {"first": [ask(pipe, 10) for _, pipe in workers]}
        told["turns"] = [ask(workers[turn % 3][1], turn % 5) for turn in range(60)]
        victim, _ = workers.pop()
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        told["after the kill"] = [ask(pipe, 0) for _, pipe in workers]
        workers.append(start(context))
        told["after the restart"] = [ask(pipe, 0) for _, pipe in reversed(workers)]
        told["files"] = sorted(path.suffix for path in directory.glob("*/*"))
        for process, pipe in workers[1:]:
            pipe.send("exit")
            process.join()
        told["alone"] = [ask(workers[0][1], 0)]
        workers[0][1].send("exit")
        workers[0][0].join()
    told["left"] = directory.exists()
    print(json.dumps(told))
"""


def test_three_real_workers_one_of_them_killed_never_tell_less_than_before(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(WORKERS)
    run = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS * 2,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answers = json.loads(run.stdout)
    counted = 30 + sum(turn % 5 for turn in range(60))
    assert answers["first"][-1][0] == 30
    requests = [answer[0] for answer in answers["first"] + answers["turns"]]
    assert requests == sorted(requests)
    assert requests[-1] == counted
    # Every worker wrote before it answered, so that even SIGKILL loses nothing that was told.
    assert answers["after the kill"] == [[counted, 2, counted]] * 2
    assert answers["after the restart"] == [[counted, 3, counted]] * 3
    assert answers["files"] == [".json"] * 4 + [".lock"]
    assert answers["alone"] == [[counted, 1, counted]]
    assert answers["left"] is False


APPLICATION = """
import os

from chassis.metrics import Metrics, MetricsSettings

metrics = Metrics(MetricsSettings(), service="orders", version="1")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        metrics.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        metrics.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/metrics":
        body = metrics.render()[0]
    else:
        metrics.requests.started()
        metrics.requests.finished("GET", "/", 200, 0.01)
        body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""


def test_the_workers_of_the_plain_uvicorn_command_aggregate_without_any_setting(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path: str) -> str:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def served() -> bool:
        try:
            return bool(get("/metrics"))
        except OSError:
            return False

    command = [sys.executable, "-m", "uvicorn", "application:app", "--workers", "2", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            until(served)
            workers: set[str] = set()
            hits = 0

            def both_answered() -> bool:
                nonlocal hits
                workers.add(get("/"))
                hits += 1
                return len(workers) == 2

            until(both_answered)
            # What the other worker counted is known a second later at most.
            until(lambda: f"{SERIES} {hits}\n" in get("/metrics"))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(DEADLINE_SECONDS)
