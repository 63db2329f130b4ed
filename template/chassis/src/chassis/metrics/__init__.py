"""Metrics in memory, aggregated over workers, rendered as Prometheus text or OpenMetrics.

Read in this order: `service` (what a process exports and the `Metrics` object), `requests` (the hot path),
`families` (how values of several workers are combined), `exchange` (how workers see each other's values),
`exposition` (the text formats).
"""

from chassis.metrics.cells import OVERFLOW
from chassis.metrics.directory import shared_directory
from chassis.metrics.families import Aggregation
from chassis.metrics.requests import OTHER_METHOD, UNMATCHED, RequestMetrics
from chassis.metrics.service import Metrics
from chassis.metrics.settings import MetricsSettings

__all__ = [
    "OTHER_METHOD",
    "OVERFLOW",
    "UNMATCHED",
    "Aggregation",
    "Metrics",
    "MetricsSettings",
    "RequestMetrics",
    "shared_directory",
]
