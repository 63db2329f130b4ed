"""Bundles: optional features that a service switches on with one line in its composition root.

A bundle is told everything through its constructor, and registers what it brings (health checks, resources,
metrics, routes) with the ``Environment`` in one function. It opens nothing before the service starts.
"""

from asyncio import to_thread
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypedDict, TypeVar, Unpack, cast, runtime_checkable

from starlette.routing import BaseRoute

from chassis.health import Health
from chassis.lifecycle import Lifecycle
from chassis.logging import dropped_lines
from chassis.metrics import Metrics
from chassis.middleware import Collaborators
from chassis.ratelimit import FailOpen, Key, MemoryRateLimiter, RateLimiter, by_address
from chassis.security import Cors, SecurityHeaders, TrustedProxies
from chassis.service_settings import ServiceSettings
from chassis.tracing import Tracing

if TYPE_CHECKING:
    from ssl import SSLContext

    from fastapi import APIRouter
    from httpx2 import Auth

    from chassis.errors import ServiceError
    from chassis.http_client import HttpClient

__all__ = ["Bundle", "BundleOrderError", "Environment", "in_dependency_order"]

T = TypeVar("T")


class HttpClientOptions(TypedDict, total=False):
    """What ``Environment.http`` passes on to the client; ``HttpClient`` says what each of them does."""

    headers: Mapping[str, str]
    auth: "Auth | tuple[str, str]"
    propagate: bool
    verify: "SSLContext | bool"


@runtime_checkable
class Bundle(Protocol):
    """An optional feature of a service."""

    @property
    def name(self) -> str:
        """A unique name; also the name of the extra that installs what the bundle needs."""

    @property
    def requires(self) -> Sequence[str]:
        """Names of the bundles that must be registered before this one."""

    def register(self, environment: "Environment") -> None:
        """Add what the bundle brings to the environment; called once, before the service starts."""


class BundleOrderError(ValueError):
    """Bundles that need each other in a circle, a bundle that is missing, or one that is given twice."""


def in_dependency_order(bundles: Iterable[Bundle]) -> list[Bundle]:
    """Return the bundles so that each one follows those it requires, else in the order given.

    Raises ``BundleOrderError``.
    """
    by_name: dict[str, Bundle] = {}
    for bundle in bundles:
        if bundle.name in by_name:
            raise BundleOrderError(f"the bundle {bundle.name!r} is given twice: remove one from create_app")
        by_name[bundle.name] = bundle

    ordered: dict[str, Bundle] = {}

    def add(bundle: Bundle, dependents: tuple[str, ...]) -> None:
        if bundle.name in dependents:
            circle = " -> ".join([*dependents, bundle.name])
            raise BundleOrderError(f"bundles require each other in a circle: {circle}")
        for required in bundle.requires:
            if required not in by_name:
                raise BundleOrderError(
                    f"the bundle {bundle.name!r} requires {required!r}: add it to the bundles of create_app"
                )
            add(by_name[required], (*dependents, bundle.name))
        ordered[bundle.name] = bundle

    for bundle in by_name.values():
        add(bundle, ())
    return list(ordered.values())


class Environment:
    """What the service is built from, and where a bundle registers what it brings.

    One environment belongs to one application; two applications in a process share nothing but the log.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        identity = settings.service
        self.metrics = Metrics(
            settings.metrics,
            service=identity.name,
            version=identity.version,
            dropped_lines=dropped_lines,
        )
        self.tracing = Tracing(
            settings.tracing,
            service=identity.name,
            version=identity.version,
            environment=settings.environment,
            on_dropped=self.metrics.spans_dropped,
        )
        self.lifecycle = Lifecycle(settings.lifecycle, on_task_failure=self._task_failed)
        self.health = Health(
            settings.health,
            lifecycle=self.lifecycle,
            service=identity.name,
            version=identity.version,
            on_result=self.metrics.health_status,
        )
        self.limiter: RateLimiter = MemoryRateLimiter(max_keys=settings.rate_limiting.max_keys)
        self.rate_limit_key: Key = by_address
        self.routers: list[APIRouter] = []
        self.management_routes: list[BaseRoute] = []
        self.error_mappings: dict[type[Exception], Callable[[Exception], ServiceError]] = {}
        self._provided: dict[type, object] = {}
        self._start_observing()

    def provide(self, kind: type[T], instance: T) -> None:
        """Make an instance available to the service under its type; one of each type."""
        if kind in self._provided:
            raise ValueError(f"{kind.__name__} is already provided: each type can be provided once")
        self._provided[kind] = instance

    def get(self, kind: type[T]) -> T:
        """Return what was provided under a type. Raises ``LookupError`` naming what is missing."""
        if kind not in self._provided:
            raise LookupError(f"nothing provides {kind.__name__}: is its bundle given to create_app?")
        return cast("T", self._provided[kind])

    def map_error(self, kind: type[Exception], to_error: Callable[[Exception], "ServiceError"]) -> None:
        """Answer exceptions of a kind as the ``ServiceError`` that ``to_error`` makes of them."""
        self.error_mappings[kind] = to_error

    def http(self, target: str, base_url: str = "", **options: Unpack[HttpClientOptions]) -> "HttpClient":
        """Return a client for one upstream, closed with the service; metrics and logs call it ``target``."""
        from chassis.http_client import HttpClient

        client = HttpClient(
            self.settings.http_client, target=target, base_url=base_url, metrics=self.metrics, **options
        )
        self.lifecycle.on_close(f"http client {target}", client.close)
        return client

    def collaborators(self) -> Collaborators:
        """Return what the request layer works with; called after every bundle has registered."""
        security = self.settings.security
        return Collaborators(
            metrics=self.metrics,
            tracing=self.tracing,
            lifecycle=self.lifecycle,
            proxies=TrustedProxies(security.trusted_proxies),
            security_headers=SecurityHeaders(security),
            cors=Cors(security),
            limiter=FailOpen(self.limiter, on_failure=self._limiter_failed),
            max_body_bytes=security.max_body_bytes,
            debug=self.settings.debug,
        )

    def _start_observing(self) -> None:
        """Register first what must close last: it observes the closing of everything else."""
        self.lifecycle.on_start("metrics", self.metrics.start)
        self.lifecycle.on_close("metrics", partial(to_thread, self.metrics.close))
        self.lifecycle.on_start("traces", self.tracing.start)
        self.lifecycle.on_close("traces", self.tracing.shutdown)
        self.lifecycle.supervise("event loop lag", self.metrics.watch_event_loop)

    def _task_failed(self, task: str, error: BaseException) -> None:
        self.metrics.task_failed(task)
        self.metrics.error("background_task", type(error).__name__)

    def _limiter_failed(self, error: BaseException) -> None:
        self.metrics.error("rate_limiter", type(error).__name__)
