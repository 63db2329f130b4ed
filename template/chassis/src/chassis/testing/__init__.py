"""What the tests of a service use.

- ``chassis.testing.plugin``: the fixtures; switched on by ``-p chassis.testing.plugin`` in pytest's settings
- ``chassis.testing.conformance``: ``Conformance``, the tests that every service passes
- ``connect``, ``running``, ``capture_logs``, ``MetricsReader``, ``FakeClock``: what the fixtures are made of
"""

from chassis.testing.captured_logs import CapturedLogs, capture_logs
from chassis.testing.client import connect
from chassis.testing.clock import FakeClock
from chassis.testing.lifespan import LifespanError, running
from chassis.testing.metrics_reader import MetricsReader

__all__ = [
    "CapturedLogs",
    "FakeClock",
    "LifespanError",
    "MetricsReader",
    "capture_logs",
    "connect",
    "running",
]
