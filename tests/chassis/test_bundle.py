"""Bundles in the order they need, and the environment they register with."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from chassis.app import create_app
from chassis.bundle import Bundle, BundleOrderError, Environment, in_dependency_order
from chassis.service_settings import ServiceSettings
from chassis.testing import MetricsReader


@dataclass
class Named:
    name: str
    requires: Sequence[str] = field(default=())

    def register(self, environment: Environment) -> None:
        environment.provide(Named, self)


def names(*bundles: Named) -> list[str]:
    return [bundle.name for bundle in in_dependency_order(bundles)]


def test_bundles_keep_the_order_given() -> None:
    assert names(Named("b"), Named("a")) == ["b", "a"]


def test_a_bundle_follows_those_it_requires() -> None:
    assert names(Named("auth", ["database"]), Named("tasks"), Named("database")) == [
        "database",
        "auth",
        "tasks",
    ]


def test_a_missing_bundle_is_named() -> None:
    with pytest.raises(BundleOrderError, match="'auth' requires 'database': add it"):
        names(Named("auth", ["database"]))


def test_a_bundle_given_twice_is_refused() -> None:
    with pytest.raises(BundleOrderError, match="'auth' is given twice"):
        names(Named("auth"), Named("auth"))


def test_a_circle_is_shown() -> None:
    with pytest.raises(BundleOrderError, match="a -> b -> a"):
        names(Named("a", ["b"]), Named("b", ["a"]))


def test_what_has_the_shape_of_a_bundle_is_one() -> None:
    assert isinstance(Named("a"), Bundle)


def test_what_is_provided_is_found_by_its_type() -> None:
    environment = Environment(ServiceSettings())
    bundle = Named("a")
    bundle.register(environment)
    assert environment.get(Named) is bundle


def test_a_type_is_provided_once() -> None:
    environment = Environment(ServiceSettings())
    environment.provide(str, "one")
    with pytest.raises(ValueError, match="str is already provided"):
        environment.provide(str, "two")


def test_what_nothing_provides_is_named() -> None:
    with pytest.raises(LookupError, match="nothing provides Named: is its bundle given to create_app"):
        Environment(ServiceSettings()).get(Named)


async def test_a_client_made_here_is_closed_with_the_service() -> None:
    environment = Environment(ServiceSettings())
    client = environment.http("billing", "http://127.0.0.1:9")
    async with environment.lifecycle.running():
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("/")


async def test_each_environment_has_a_lifecycle_of_its_own() -> None:
    one, other = Environment(ServiceSettings()), Environment(ServiceSettings())
    async with one.lifecycle.running(), other.lifecycle.running():
        one.lifecycle.begin_drain()
        assert (one.lifecycle.state, other.lifecycle.state) == ("draining", "ready")


async def test_what_a_bundle_registers_is_opened_when_the_service_starts_and_not_before() -> None:
    opened: list[str] = []

    class Opening(Named):
        def register(self, environment: Environment) -> None:
            environment.lifecycle.on_start("pool", lambda: opened.append("pool"))

    service = create_app(ServiceSettings(), bundles=[Opening("opening")])
    assert opened == []
    async with service.environment.lifecycle.running():
        assert opened == ["pool"]


async def test_a_failure_of_a_background_task_is_counted() -> None:
    environment = Environment(ServiceSettings())
    metrics = MetricsReader(environment.metrics)
    counted = metrics.delta("service_background_task_failures_total", task="mailer")

    async def fail() -> None:
        raise ValueError

    environment.lifecycle.supervise("mailer", fail)
    async with environment.lifecycle.running(), asyncio.timeout(5):
        for _ in iter(counted, 1):
            await asyncio.sleep(0)
