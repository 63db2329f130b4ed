"""Request metrics: the hot path. One dictionary lookup and a few integer additions a request.

The two methods run on the event loop's thread only, so they take no lock. A lookup by (method, route,
status) ends at a cell; `Metrics.render` reads the cells (prometheus-client's `labels().inc()` and
`labels().observe()` cost 5 us, this 0.5).
"""

from bisect import bisect_left
from time import time

from chassis.metrics.cells import OVERFLOW, Buckets, edges
from chassis.metrics.families import Family, series

UNMATCHED = "unmatched"
"""The `route` of every request that no route matched, so that a scan over random paths makes one series."""

OTHER_METHOD = "_OTHER"
"""The `method` of every request whose method is no standard one: it is text that a stranger chose."""

# RFC 9110, section 9, and PATCH of RFC 5789.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


class _Cell:
    __slots__ = ("buckets", "count", "series")

    def __init__(self, key: str, buckets: Buckets) -> None:
        self.series = key
        self.buckets = buckets
        self.count = 0


class RequestMetrics:
    """Counts, durations and the number of requests in progress, by method, route template and status."""

    def __init__(self, *, bounds: tuple[float, ...], max_routes: int) -> None:
        self.in_progress = 0
        self._bounds = bounds
        self._max_routes = max_routes
        self._routes = {UNMATCHED, OVERFLOW}
        self._cells: dict[tuple[str, str, int], _Cell] = {}
        self._buckets: dict[tuple[str, str], Buckets] = {}

    def started(self) -> None:
        """Count a request that begins."""
        self.in_progress += 1

    def finished(
        self, method: str, route: str, status: int, seconds: float, trace_id: str | None = None
    ) -> None:
        """Count a request that ended. `route` is a template or `UNMATCHED`, `trace_id` a sampled trace's."""
        try:
            cell = self._cells[method, route, status]
        except KeyError:
            cell = self._cell(method, route, status)
        cell.count += 1
        # Not by `observe`: the call is 500 of 3,500 instructions.
        buckets = cell.buckets
        index = bisect_left(buckets.bounds, seconds)
        buckets.counts[index] += 1
        buckets.sum += seconds
        if trace_id is not None:
            buckets.latest[index] = trace_id, seconds, time()
        self.in_progress -= 1

    def route_label(self, route: str) -> str:
        """Return the label value of a route: itself, or `_OVERFLOW` when there are too many."""
        if route not in self._routes:
            if len(self._routes) >= self._max_routes + 2:
                return OVERFLOW
            self._routes.add(route)
        return route

    def families(self) -> list[Family]:
        """Return what is known now."""
        cells = list(self._cells.values())
        durations = Family(
            name="service_request_duration_seconds",
            type="histogram",
            help="Seconds from the first byte of a request to the last one of its response.",
            bounds=",".join(edges(self._bounds)),
        )
        for buckets in list(self._buckets.values()):
            buckets.add_to(durations)
        return [
            Family(
                name="service_requests",
                type="counter",
                help="Requests answered, by method, route template and status.",
                samples={cell.series: cell.count for cell in cells},
            ),
            durations,
            Family(
                name="service_requests_in_progress",
                type="gauge",
                help="Requests being answered now.",
                samples={"service_requests_in_progress": self.in_progress},
            ),
        ]

    def _cell(self, method: str, route: str, status: int) -> _Cell:
        # Only label values are keys here, never what a client sent: the dictionary has a bound.
        method = method if method in _METHODS else OTHER_METHOD
        route = self.route_label(route)
        cell = self._cells.get((method, route, status))
        if cell is None:
            labels = {"method": method, "route": route}
            buckets = self._buckets.get((method, route))
            if buckets is None:
                buckets = Buckets("service_request_duration_seconds", self._bounds, labels)
                self._buckets[method, route] = buckets
            key = series("service_requests_total", {**labels, "status": str(status)})
            cell = self._cells[method, route, status] = _Cell(key, buckets)
        return cell
