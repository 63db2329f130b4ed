"""The queue between the requests and the collector: bounded, emptied by a thread, given up on at shutdown.

Our own and not the SDK's BatchSpanProcessor: that one waits up to 30 s at shutdown, drops without counting
unless experimental metrics are on, and logs every failed batch.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import override

from chassis.masking import mask_text
from chassis.structured import structlog
from chassis.tracing.request import RequestSpan
from chassis.tracing.settings import TracingSettings

COMPLAINT_SECONDS = 60.0

# The exporters log each failed batch here. What they say is kept as the reason of our one warning a minute.
_EXPORTER_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)

_logger = structlog.get_logger("chassis.tracing")


@runtime_checkable
class TakesBytes(Protocol):
    """An exporter that sends what was written before, in slices."""

    def send(self, body: bytes) -> bool:
        """Send a request of OTLP; False when the collector did not take it."""


class SpanQueue(SpanProcessor):
    """Takes finished spans without ever waiting, and exports them from a thread of its own.

    A span that finds the queue full, whose export fails, or that is left at shutdown is dropped and
    reported to `on_dropped(reason, count)`, with the reason `queue_full`, `export_failed` or `shutdown`.
    """

    def __init__(
        self,
        settings: TracingSettings,
        *,
        exporter: Callable[[], SpanExporter],
        on_dropped: Callable[[str, int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.convert: Callable[[RequestSpan], ReadableSpan]
        self.encode: Callable[[Sequence[ReadableSpan | RequestSpan]], bytes]
        self._make_exporter = exporter
        self._exporter: SpanExporter | None = None
        self._settings = settings
        self._size = settings.queue_size
        self._batch = settings.batch_size
        self._on_dropped = on_dropped
        self._waiting: deque[ReadableSpan | RequestSpan] = deque()
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._busy = False
        self._stopping = False
        self._given_up = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._failures = _Failures(settings.collector, clock)

    def put(self, span: ReadableSpan | RequestSpan) -> None:
        """Take a finished span. Never waits."""
        if self._stopping:
            self._drop("shutdown", 1)
        elif (waiting := len(self._waiting)) >= self._size:
            self._drop("queue_full", 1)
        else:
            self._waiting.append(span)
            if self._thread is None:
                self._start()
            # At each multiple, not for each span above one: to wake a thread takes longer than all the rest.
            if (waiting + 1) % self._batch == 0:
                self._wake.set()

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if span.context.trace_flags.sampled:
            self.put(span)

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until nothing is left to export; False when that takes longer. Not for the request path."""
        self._wake.set()
        with self._idle:
            return self._idle.wait_for(lambda: not self._waiting and not self._busy, timeout_millis / 1000)

    @override
    def shutdown(self) -> None:
        """Export what is left within the seconds of the setting, then give up. Once is enough."""
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self._settings.shutdown_timeout)
        self._given_up = True
        self._drop("shutdown", len(self._waiting))
        self._waiting.clear()
        if self._exporter is not None:
            self._exporter.shutdown()
        self._failures.close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                # A daemon: a collector that never answers must not keep the process.
                self._thread = threading.Thread(target=self._run, name="span export", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        # Spans of the exporter's own HTTP client, were that instrumented, would never end.
        token = attach(set_value("suppress_instrumentation", True))
        try:
            while not self._stopping:
                self._wake.wait(self._settings.schedule_delay / 1000)
                self._wake.clear()
                self._export_waiting()
            self._export_waiting()
        finally:
            detach(token)

    def _export_waiting(self) -> None:
        self._busy = True
        try:
            while self._waiting and not self._given_up:
                count = min(len(self._waiting), self._settings.batch_size)
                self._export([self._waiting.popleft() for _ in range(count)])
        finally:
            with self._idle:
                self._busy = False
                self._idle.notify_all()

    def _export(self, batch: list[ReadableSpan | RequestSpan]) -> None:
        try:
            if self._exporter is None:
                self._exporter = self._make_exporter()
                self._failures.listen()
            exported = self._hand_over(self._exporter, batch)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, the next batch gets its turn
            self._failures.reason = f"{type(error).__name__}: {error}"
            exported = False
        if exported:
            self._failures.over()
        elif not self._given_up:
            self._failures.add(len(batch))
        if not exported:
            self._drop("shutdown" if self._given_up else "export_failed", len(batch))

    def _hand_over(self, exporter: SpanExporter, batch: Sequence[ReadableSpan | RequestSpan]) -> bool:
        if isinstance(exporter, TakesBytes):
            return exporter.send(self.encode(batch))
        spans = [self.convert(span) if isinstance(span, RequestSpan) else span for span in batch]
        return exporter.export(spans) is SpanExportResult.SUCCESS

    def _drop(self, reason: str, count: int) -> None:
        if count and self._on_dropped is not None:
            self._on_dropped(reason, count)


class _Failures(logging.Filter):
    """Turns any number of failed exports into one warning a minute, and one line when they end."""

    def __init__(self, collector: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self.reason = "the collector did not take them"
        self._collector = mask_text(collector)
        self._clock = clock
        self._lost = 0
        self._warned: float | None = None

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            self.reason = record.getMessage()
        return False

    def listen(self) -> None:
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).addFilter(self)

    def close(self) -> None:
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def add(self, spans: int) -> None:
        self._lost += spans
        now = self._clock()
        if self._warned is None or now - self._warned >= COMPLAINT_SECONDS:
            self._warned = now
            _logger.warning(
                "spans cannot be exported, requests are not affected",
                collector=self._collector,
                reason=mask_text(self.reason),
                spans_lost=self._lost,
            )
            self._lost = 0

    def over(self) -> None:
        if self._warned is not None:
            self._warned = None
            _logger.info("spans are exported again", collector=self._collector)
