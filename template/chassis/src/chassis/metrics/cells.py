"""Cells: what the chassis itself measures, each a plain number with its rendered series beside it."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from threading import Lock

from chassis.metrics.families import Aggregation, Exemplar, Family, series

OVERFLOW = "_OVERFLOW"
"""The label value of everything above a family's bound."""

MAX_SERIES = 1000


class Cell:
    """One series of a counter or gauge. Safe to change from any thread."""

    __slots__ = ("_lock", "series", "value")

    def __init__(self, key: str, lock: Lock) -> None:
        self.series = key
        self.value: float = 0
        self._lock = lock

    def inc(self, amount: float = 1) -> None:
        """Add to the value."""
        with self._lock:
            self.value += amount

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = float(value)


class Values:
    """A counter or gauge with labels. Label sets beyond 1,000 share one series of `_OVERFLOW` labels."""

    def __init__(
        self, name: str, kind: str, text: str, labels: Sequence[str], aggregation: Aggregation = "sum"
    ) -> None:
        self._name = name
        self._kind = kind
        self._text = text
        self._labels = tuple(labels)
        self._aggregation = aggregation
        self._cells: dict[tuple[str, ...], Cell] = {}
        self._lock = Lock()

    def cell(self, *values: str) -> Cell:
        """Return the cell of these label values, in the order of the label names."""
        cell = self._cells.get(values)
        if cell is None:
            with self._lock:
                if len(self._cells) >= MAX_SERIES:
                    values = (OVERFLOW,) * len(self._labels)
                cell = self._cells.get(values)
                if cell is None:
                    labels = dict(zip(self._labels, values, strict=True))
                    cell = self._cells[values] = Cell(series(self._name, labels), Lock())
        return cell

    def family(self) -> Family:
        """Return what is known now."""
        return Family(
            name=self._name.removesuffix("_total"),
            type=self._kind,
            help=self._text,
            aggregation=self._aggregation,
            samples={cell.series: cell.value for cell in list(self._cells.values())},
        )


class Buckets:
    """One series of a histogram. Changed by one thread, that of the event loop; read by any."""

    __slots__ = ("_count", "_keys", "_sum", "bounds", "counts", "latest", "sum")

    def __init__(self, name: str, bounds: Sequence[float], labels: Mapping[str, str]) -> None:
        self.bounds = tuple(bounds)
        self._keys = [series(f"{name}_bucket", {**labels, "le": le}) for le in edges(bounds)]
        self._count = series(f"{name}_count", labels)
        self._sum = series(f"{name}_sum", labels)
        self.counts = [0] * len(self._keys)
        self.sum = 0.0
        self.latest: dict[int, tuple[str, float, float]] = {}
        """Of a bucket, by its index, the last traced value: the trace, the value, seconds since the epoch."""

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_to(self, family: Family) -> None:
        """Add the series to its family: cumulative buckets, count, sum."""
        totals = list(accumulate(self.counts))
        family.samples.update(zip(self._keys, totals, strict=True))
        family.samples[self._count] = totals[-1]
        family.samples[self._sum] = self.sum
        for index, (trace, value, at) in list(self.latest.items()):
            family.exemplars[self._keys[index]] = Exemplar(f'trace_id="{trace}"', value, at)


def edges(bounds: Sequence[float]) -> list[str]:
    """Return the `le` label values of these bounds, the infinite one included."""
    return [*(repr(float(bound)) for bound in bounds), "+Inf"]
