"""Families of samples: what workers exchange, and how the values of several workers become one.

A series is kept under its rendered form (`name{label="value"}`), because merging then is a dictionary
lookup and an addition, and rendering a join.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal, NamedTuple

import orjson

Aggregation = Literal["sum", "max", "min", "each"]
"""How one gauge's values in several live workers become one; `each` keeps them, with a `pid` label."""

# They only grow, so those of a dead worker still count. Everything else speaks of now and ends with its
# worker.
CUMULATIVE = frozenset({"counter", "histogram", "summary"})

_COMBINE: dict[Aggregation, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


class Exemplar(NamedTuple):
    """One observation that a bucket remembers: rendered labels, value, seconds since the epoch."""

    labels: str
    value: float
    timestamp: float


@dataclass(eq=False)
class Family:
    """One metric with its series. `name` is the OpenMetrics name: that of a counter lacks `_total`."""

    name: str
    type: str
    help: str
    aggregation: Aggregation = "sum"
    unit: str = ""
    bounds: str = ""  # of a histogram's buckets: two histograms with different ones cannot be added
    samples: dict[str, float] = field(default_factory=dict)
    exemplars: dict[str, Exemplar] = field(default_factory=dict)


class Source(NamedTuple):
    """What one worker has measured, or all the dead ones together."""

    worker: str
    alive: bool
    families: list[Family]


def series(name: str, labels: Mapping[str, str]) -> str:
    """Render a series as both text formats write it, labels sorted by name."""
    if not labels:
        return name
    return f"{name}{{{rendered_labels(labels)}}}"


def rendered_labels(labels: Mapping[str, str]) -> str:
    """Render `a="b",c="d"` with backslash, quote and newline escaped (OpenMetrics 1.0, section 5)."""
    text = ",".join(
        '{}="{}"'.format(name, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\""))
        for name, value in sorted(labels.items())
    )
    # Half a surrogate pair, as broken input leaves it, would make the whole scrape fail.
    return text if text.isascii() else text.encode(errors="replace").decode()


def merge(sources: Iterable[Source]) -> list[Family]:
    """Combine the families of several workers; where two disagree about a shape, the first one counts."""
    merged: dict[str, Family] = {}
    for source in sources:
        for family in source.families:
            if not source.alive and family.type not in CUMULATIVE:
                continue
            target = merged.get(family.name)
            if target is None:
                target = merged[family.name] = replace(family, samples={}, exemplars={})
            elif not target.samples:
                target.bounds = family.bounds
            elif family.samples and (family.type, family.bounds) != (target.type, target.bounds):
                continue
            _combine(target, family, source.worker)
    return list(merged.values())


def dump(worker: str, families: Iterable[Family], absorbed: Iterable[str] = ()) -> bytes:
    """Serialize a worker's families. `absorbed` names the workers whose values are part of them."""
    return orjson.dumps([worker, [_row(family) for family in families], list(absorbed)])


def load(content: bytes) -> tuple[str, list[Family], list[str]]:
    """Undo `dump`. Raise ValueError for anything else."""
    try:
        worker, rows, absorbed = orjson.loads(content)
        return worker, [_family(row) for row in rows], absorbed
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("not a snapshot of metrics") from error


def _combine(target: Family, family: Family, worker: str) -> None:
    samples = target.samples
    if family.type in CUMULATIVE:
        for key, value in family.samples.items():
            samples[key] = samples.get(key, 0) + value
        for key, exemplar in family.exemplars.items():
            known = target.exemplars.get(key)
            if known is None or known.timestamp < exemplar.timestamp:
                target.exemplars[key] = exemplar
    elif family.aggregation == "each":
        for key, value in family.samples.items():
            samples[_labelled(key, worker)] = value
    else:
        combine = _COMBINE[family.aggregation]
        for key, value in family.samples.items():
            samples[key] = combine(samples[key], value) if key in samples else value


def _labelled(key: str, worker: str) -> str:
    label = f'pid="{worker}"'
    return f"{key[:-1]},{label}}}" if key.endswith("}") else f"{key}{{{label}}}"


def _row(family: Family) -> dict[str, object]:
    return {
        "name": family.name,
        "type": family.type,
        "help": family.help,
        "aggregation": family.aggregation,
        "unit": family.unit,
        "bounds": family.bounds,
        # JSON has no infinity and no NaN: such a value travels as text.
        "samples": {key: value if isfinite(value) else repr(value) for key, value in family.samples.items()},
        "exemplars": {key: list(exemplar) for key, exemplar in family.exemplars.items()},
    }


def _family(row: dict[str, Any]) -> Family:
    samples: dict[str, Any] = row["samples"]
    exemplars: dict[str, Any] = row["exemplars"]
    return Family(
        **row
        | {
            "samples": {
                key: float(value) if isinstance(value, str) else value for key, value in samples.items()
            },
            "exemplars": {key: Exemplar(*exemplar) for key, exemplar in exemplars.items()},
        }
    )
