"""How the values of several workers become one, and the files by which they are exchanged."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.metrics import directory as directories
from chassis.metrics.exchange import Exchange
from chassis.metrics.families import Exemplar, Family, Source, dump, load, merge


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
    sizes = set()
    for _ in range(100):
        worker = Exchange(tmp_path)
        worker.compact()
        worker.write([counter(1), gauge(1)])
        worker.close([counter(2), gauge(1)])
        assert len(list(tmp_path.iterdir())) <= 4
        sizes.add(sum(file.stat().st_size for file in tmp_path.iterdir()))
    assert max(sizes) < min(sizes) * 2
    assert samples(survivor.merged([counter(1), gauge(7)])) == {"hits_total": 201, "level": 7}


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
