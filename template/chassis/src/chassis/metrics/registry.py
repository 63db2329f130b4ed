"""The prometheus-client registry of one application; imported when first used, for it takes 10 ms."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ClientExemplar
from typing_extensions import override

from chassis.metrics.exposition import OPENMETRICS, expose
from chassis.metrics.families import Aggregation, Exemplar, Family, rendered_labels, series
from chassis.structured import structlog

_logger = structlog.get_logger("chassis.metrics")


class ServiceRegistry(CollectorRegistry):
    """Holds what services, bundles and libraries register; `collect` adds what the chassis measures.

    `own` returns the chassis's families and `reserved` is their names: registering one of them again raises
    prometheus-client's DuplicateTimeseries, as any name that is registered twice does.
    """

    def __init__(self, own: Callable[[], list[Family]], reserved: Iterable[str]) -> None:
        super().__init__()
        self._own = own
        self.aggregations: dict[str, Aggregation] = {}
        self.register(_Reserved(reserved))

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield every family, those of the chassis first."""
        body, _ = expose(self._own(), OPENMETRICS)
        yield from text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]  # it has no types
        yield from super().collect()

    def families(self) -> list[Family]:
        """Return what was registered. A collector that fails is logged and left out: the others answer."""
        with self._lock:
            collectors: list[Collector] = list(self._collector_to_names)
        found: list[Family] = []
        for collector in collectors:
            try:
                found.extend(self._family(metric) for metric in collector.collect())
            except Exception:
                _logger.exception("metrics collector failed", collector=repr(collector))
        return found

    def _family(self, metric: Metric) -> Family:
        name = _legacy(metric.name)
        default: Aggregation = "max" if metric.type == "info" else "each"
        family = Family(
            name=name,
            type=metric.type,
            help=metric.documentation,
            aggregation=self.aggregations.get(metric.name, default),
            unit=metric.unit,
        )
        created = f"{metric.name}_created"  # a series more for each series, of little use with Prometheus
        bounds: dict[str, None] = {}
        for sample in metric.samples:
            if sample.name == created or sample.native_histogram is not None:
                continue
            key = series(
                _legacy(sample.name), {_legacy(label): value for label, value in sample.labels.items()}
            )
            family.samples[key] = sample.value
            if metric.type == "histogram" and "le" in sample.labels:
                bounds[sample.labels["le"]] = None
            if sample.exemplar is not None:
                family.exemplars[key] = _exemplar(sample.exemplar)
        family.bounds = ",".join(bounds)
        return family


class _Reserved(Collector):
    """Keeps the chassis's names, so that nobody registers them twice."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def describe(self) -> Iterable[Metric]:
        return [Metric(name, "", "unknown") for name in self._names]

    @override
    def collect(self) -> Iterable[Metric]:
        return []


def _exemplar(exemplar: ClientExemplar) -> Exemplar:
    labels: Mapping[str, str] = exemplar.labels
    return Exemplar(rendered_labels(labels), exemplar.value, float(exemplar.timestamp or 0.0))


@lru_cache(maxsize=4096)
def _legacy(name: str) -> str:
    """Return a name as every Prometheus version reads it: UTF-8 names, new in 3.0, get underscores."""
    return re.sub(r"[^a-zA-Z0-9_:]", "_", name)
