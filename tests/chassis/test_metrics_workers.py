"""Several workers tell the metrics of the whole service, whichever of them answers the scrape."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chassis.metrics import Metrics, MetricsSettings, shared_directory
from chassis.metrics import directory as directories
from chassis.metrics.exchange import Exchange
from chassis.metrics.families import Exemplar, Family, Source, dump, load, merge

DEADLINE_SECONDS = 30
SERIES = 'service_requests_total{method="GET",route="/",status="200"}'


def counter(value: float, name: str = "hits") -> Family:
    return Family(name=name, type="counter", help="", samples={f"{name}_total": value})


def gauge(value: float, aggregation: str = "sum", key: str = "level") -> Family:
    return Family(name="level", type="gauge", help="", aggregation=aggregation, samples={key: value})


def live(worker: str, *families: Family) -> Source:
    return Source(worker, alive=True, families=list(families))


def dead(*families: Family) -> Source:
    return Source("", alive=False, families=list(families))


def samples(families: list[Family]) -> dict[str, float]:
    return {key: value for family in families for key, value in family.samples.items()}


# How the values of several workers become one.


def test_counters_of_the_living_and_the_dead_are_added() -> None:
    assert samples(merge([live("1", counter(3)), live("2", counter(4)), dead(counter(5))])) == {
        "hits_total": 12
    }


@pytest.mark.parametrize(
    ("aggregation", "combined"),
    [
        ("sum", {"level": 5}),
        ("max", {"level": 3}),
        ("min", {"level": 2}),
        ("each", {'level{pid="1"}': 2, 'level{pid="2"}': 3}),
    ],
)
def test_gauges_of_the_living_are_combined_as_declared_and_those_of_the_dead_end(
    aggregation: str, combined: dict[str, float]
) -> None:
    sources = [
        live("1", gauge(2, aggregation)),
        live("2", gauge(3, aggregation)),
        dead(gauge(9, aggregation)),
    ]
    assert samples(merge(sources)) == combined


def test_a_gauge_with_labels_gets_the_worker_as_one_more() -> None:
    merged = merge([live("7", gauge(2, "each", 'level{name="a"}'))])
    assert samples(merged) == {'level{name="a",pid="7"}': 2}


def test_the_newest_exemplar_is_told() -> None:
    def bucket(trace: str, at: float) -> Family:
        family = Family(name="t", type="histogram", help="", bounds="1", samples={'t_bucket{le="1"}': 1})
        family.exemplars['t_bucket{le="1"}'] = Exemplar(f'trace_id="{trace}"', 0.5, at)
        return family

    merged = merge([live("1", bucket("a", 10.0)), live("2", bucket("b", 20.0)), dead(bucket("c", 15.0))])
    assert merged[0].exemplars['t_bucket{le="1"}'].labels == 'trace_id="b"'


def test_a_histogram_with_other_buckets_or_another_type_is_not_added() -> None:
    def histogram(bounds: str, value: float) -> Family:
        return Family(
            name="t", type="histogram", help="", bounds=bounds, samples={"t_count": value} if value else {}
        )

    stranger = Family(name="t", type="counter", help="", samples={"t_total": 1})
    assert samples(merge([live("1", histogram("1,2", 1)), dead(histogram("1,3", 5), stranger)])) == {
        "t_count": 1
    }
    # A worker that has seen nothing yet has no say about the buckets.
    assert samples(merge([live("1", histogram("", 0)), live("2", histogram("1,3", 5))])) == {"t_count": 5}


def test_what_is_merged_leaves_the_sources_as_they_were() -> None:
    own = counter(3)
    merge([live("1", own), live("2", counter(4))])
    assert own.samples == {"hits_total": 3}


def test_a_snapshot_survives_with_infinite_values_and_half_a_surrogate_pair() -> None:
    family = gauge(float("inf"))
    family.samples |= {"nan": float("nan"), "minus": float("-inf"), "whole": 3}
    family.exemplars["level"] = Exemplar('trace_id="a"', 0.5, 1.0)
    worker, families, absorbed = load(dump("7", [family], ["8-a"]))
    assert (worker, absorbed) == ("7", ["8-a"])
    assert repr(families) == repr([family])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"3",
        b'["1", [1], []]',
        b'["1", [{"name": 1}], []]',
        b'["1",[{"samples":3,"exemplars":3}],[]]',
    ],
)
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        load(content)


# The directory of files.


def total(exchange: Exchange, own: float) -> float:
    return samples(exchange.merged([counter(own)]))["hits_total"]


def test_a_worker_reads_what_another_has_published(tmp_path: Path) -> None:
    one, other = Exchange(tmp_path), Exchange(tmp_path)
    other.write([counter(4), gauge(2)])
    assert total(one, 3) == 7
    other.write([counter(5), gauge(2)])
    assert samples(one.merged([counter(3), gauge(1)])) == {"hits_total": 8, "level": 3}
    other.close([counter(6), gauge(2)])
    assert samples(one.merged([counter(3), gauge(1)])) == {"hits_total": 9, "level": 1}


def test_a_closed_worker_is_counted_once(tmp_path: Path) -> None:
    one, other = Exchange(tmp_path), Exchange(tmp_path)
    one.close([counter(4)])
    assert samples(one.merged([])) == {"hits_total": 4}
    other.compact()
    assert samples(one.merged([])) == {"hits_total": 4}
    assert total(other, 0) == 4


def test_after_any_number_of_restarts_the_directory_is_small_and_nothing_is_lost(tmp_path: Path) -> None:
    survivor = Exchange(tmp_path)
    survivor.write([counter(1)])
    for _ in range(300):
        worker = Exchange(tmp_path)
        worker.compact()
        worker.write([counter(1), gauge(1)])
        worker.close([counter(2), gauge(1)])
        assert len(list(tmp_path.iterdir())) <= 4
    assert samples(survivor.merged([counter(1), gauge(7)])) == {"hits_total": 601, "level": 7}


def test_only_one_worker_compacts_at_a_time(tmp_path: Path) -> None:
    Exchange(tmp_path).close([counter(2)])
    worker = Exchange(tmp_path)
    with (tmp_path / "compact.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        worker.compact()
    assert not (tmp_path / "dead.json").exists()
    assert total(worker, 1) == 3


def test_a_compaction_that_was_killed_halfway_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (2, 3):
        Exchange(tmp_path).close([counter(value)])
    worker = Exchange(tmp_path)
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            worker.compact()
    assert len(list(tmp_path.glob("*.json"))) == 3
    assert total(worker, 0) == 5
    Exchange(tmp_path).close([counter(10)])
    worker.compact()
    assert [path.name for path in tmp_path.glob("*.json")] == ["dead.json"]
    assert total(worker, 0) == 15


def test_a_compaction_during_a_scrape_neither_hides_nor_doubles_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (2, 3):
        Exchange(tmp_path).close([counter(value)])
    reader, compactor = Exchange(tmp_path), Exchange(tmp_path)
    files = reader._files
    rounds = []

    def compacted_meanwhile() -> Iterator[object]:
        rounds.append(None)
        found = files()
        if len(rounds) == 1:
            # One file is read before the compaction, the other is gone after it.
            yield next(found)
            compactor.compact()
        yield from found

    monkeypatch.setattr(reader, "_files", compacted_meanwhile)
    assert total(reader, 0) == 5
    assert len(rounds) == 2


def test_a_reader_gives_up_rereading_and_answers_when_the_sum_never_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Exchange(tmp_path).close([counter(2)])
    reader = Exchange(tmp_path)
    monkeypatch.setattr(reader, "_identity", object)
    assert total(reader, 0) == 2


def test_a_file_renamed_over_while_it_is_read_does_not_make_its_owner_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, reader = Exchange(tmp_path), Exchange(tmp_path)
    owner.write([gauge(1)])
    is_locked = directories.is_locked

    def after_a_newer_one(descriptor: int) -> bool:
        owner.write([gauge(2)])
        return is_locked(descriptor)

    monkeypatch.setattr("chassis.metrics.exchange.is_locked", after_a_newer_one)
    assert samples(reader.merged([])) == {"level": 1}


def test_a_file_that_is_removed_while_it_is_read_was_a_dead_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Exchange(tmp_path).close([gauge(1)])
    is_locked = directories.is_locked

    def removed_meanwhile(descriptor: int) -> bool:
        for path in tmp_path.glob("*.json"):
            path.unlink()
        return is_locked(descriptor)

    monkeypatch.setattr("chassis.metrics.exchange.is_locked", removed_meanwhile)
    assert samples(Exchange(tmp_path).merged([])) == {}


def test_a_worker_that_cannot_publish_anything_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Exchange(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        worker.close([counter(1)])
    assert worker.closed


def test_files_that_are_no_snapshot_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "dead.json").write_bytes(b"{")
    (tmp_path / "1-a.json").write_bytes(b"{")
    worker = Exchange(tmp_path)
    worker.compact()
    assert total(worker, 3) == 3


def test_what_a_killed_writer_left_is_removed_after_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / "1-a.tmp", tmp_path / "2-b.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    Exchange(tmp_path).compact()
    assert not old.exists()
    assert new.exists()


def test_a_full_disk_leaves_the_previous_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, reader = Exchange(tmp_path), Exchange(tmp_path)
    owner.write([counter(1)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            owner.write([counter(2)])
    assert total(reader, 0) == 1
    owner.write([counter(3)])
    assert total(reader, 0) == 3


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
    monkeypatch.setattr("chassis.metrics.service.SNAPSHOT_SECONDS", 0.01)
    metrics = make(directory=tmp_path)
    metrics.start()
    reader = Exchange(tmp_path / "my_orders")
    count(metrics, 4)
    until(lambda: samples(reader.merged([])).get(SERIES) == 4)
    metrics.close()


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
