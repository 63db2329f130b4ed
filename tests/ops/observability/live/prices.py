"""What the owner of a service adds: a client of another service, a task, and endpoints that go wrong."""

import os

from fastapi import APIRouter, Request

from chassis.bundle import Environment
from chassis.health import HealthCheck
from chassis.http_client import HttpClient

router = APIRouter(prefix="/prices")


class Prices:
    """A bundle of the service's own."""

    name = "prices"
    requires = ()

    def register(self, environment: Environment) -> None:
        """Build the client, its health check and a task that fails once."""
        client = environment.http("prices", os.environ["PRICES_URL"])
        environment.provide(HttpClient, client)

        async def ping() -> None:
            await client.get("/")

        failures = iter([True])

        async def refresh() -> None:
            if next(failures, False):
                raise RuntimeError("the first attempt fails")

        environment.health.add(HealthCheck("prices", ping, critical=False))
        environment.lifecycle.supervise("refresh prices", refresh)


@router.get("")
async def read(request: Request) -> dict[str, str]:
    """Ask the other service."""
    await request.app.environment.get(HttpClient).get("/")
    return {"price": "1.00"}


@router.get("/limited")
async def limited() -> None:
    """Answer once a minute."""


@router.get("/broken")
async def broken() -> None:
    """Crash."""
    raise RuntimeError("it is broken")
