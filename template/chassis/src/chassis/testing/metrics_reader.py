"""Reading metrics as Prometheus would: from the text that a scrape gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chassis.metrics import Metrics

__all__ = ["MetricsReader"]

SUFFIXES = frozenset({"", "_total", "_count", "_sum", "_bucket", "_info"})


class MetricsReader:
    """Reads the values that ``/metrics`` exports."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that carry these labels; 0 when none does.

        ``name`` is that of a sample, such as ``service_requests_total`` or
        ``service_request_duration_seconds_count``. Raises ``LookupError`` for a metric that nothing exports.
        """
        return sum(value for found, value in self.samples(name) if labels.items() <= found.items())

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values that a label has in the samples of this name. Raises as ``value`` does."""
        return {found[label] for found, _ in self.samples(name) if label in found}

    def delta(self, name: str, **labels: str) -> Callable[[], float]:
        """Return a function that tells how much ``value`` has grown since now."""
        before = self.value(name, **labels)
        return lambda: self.value(name, **labels) - before

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each sample of this name. Raises as ``value`` does."""
        from prometheus_client.parser import text_string_to_metric_families

        body, _ = self._metrics.render(None)
        exported = False
        found: list[tuple[dict[str, str], float]] = []
        for family in text_string_to_metric_families(body.decode()):
            exported = exported or name.removeprefix(family.name) in SUFFIXES
            found.extend((sample.labels, sample.value) for sample in family.samples if sample.name == name)
        if not exported:
            raise LookupError(f"no metric is called {name!r}: see /metrics for those that exist")
        return found
