"""The health endpoints. They are never cached and answer GET and HEAD."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis import context
from chassis.errors import PROBLEM_MEDIA_TYPE, Unavailable, problem_from
from chassis.health.check import CheckResult, Status

if TYPE_CHECKING:
    from chassis.health.health import Health

__all__ = ["operator_routes", "probe_routes"]

_NO_STORE = {"Cache-Control": "no-store"}


class NotReady(Unavailable):
    """503: the service should get no requests now."""

    code = "NOT_READY"


def probe_routes(health: "Health") -> list[Route]:
    """Return the endpoints that orchestrators and load balancers ask."""

    async def summary(_: Request) -> Response:
        report = await health.report()
        return _json(
            {
                "status": report.status,
                "state": health.lifecycle.state,
                "service": health.service,
                "version": health.version,
            },
            failed=report.status is Status.UNHEALTHY,
        )

    async def live(_: Request) -> Response:
        """Answer 200 as long as the event loop runs: a restart would cure nothing else."""
        return _json({"status": "alive"})

    async def ready(request: Request) -> Response:
        readiness = await health.ready()
        if readiness.ready:
            return _json({"status": "ready", "health": readiness.reason})
        error = NotReady(readiness.reason, state=readiness.state, failing=list(readiness.failing))
        problem = problem_from(error, instance=request.url.path, request_id=context.request_id())
        return Response(
            problem.to_bytes(), status_code=problem.status, headers=_NO_STORE, media_type=PROBLEM_MEDIA_TYPE
        )

    return [
        Route("/health", summary, include_in_schema=False),
        Route("/health/live", live, include_in_schema=False),
        Route("/health/ready", ready, include_in_schema=False),
    ]


def operator_routes(health: "Health") -> list[Route]:
    """Return the endpoint that people ask."""

    async def detailed(_: Request) -> Response:
        report = await health.report()
        now = health.clock()
        memory, disk = health.system.memory, health.system.disk
        return _json(
            {
                "status": report.status,
                "state": health.lifecycle.state,
                "service": health.service,
                "version": health.version,
                "uptime_seconds": round(health.uptime_seconds, 1),
                "checks": [_check(result, now) for result in report.checks],
                "memory": None
                if memory is None
                else {**memory._asdict(), "used_percent": round(memory.used_percent, 1)},
                "disk": None if disk is None else disk._asdict(),
            },
            failed=report.status is Status.UNHEALTHY,
        )

    return [Route("/health/detailed", detailed, include_in_schema=False)]


def _check(result: CheckResult, now: float) -> dict[str, object]:
    return {
        "name": result.name,
        "status": result.status,
        "critical": result.critical,
        "detail": result.detail,
        "duration_ms": round(result.duration_seconds * 1000, 2),
        "age_seconds": round(max(0.0, now - result.checked_at), 3),
    }


def _json(body: Mapping[str, object], *, failed: bool = False) -> Response:
    return Response(
        orjson.dumps(body),
        status_code=503 if failed else 200,
        headers=_NO_STORE,
        media_type="application/json",
    )
