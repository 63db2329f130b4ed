"""The HTTP client against real upstreams on loopback, most of which misbehave."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import APIRouter

from chassis import context
from chassis.app import create_app
from chassis.bundle import Environment
from chassis.errors import BadGateway, GatewayTimeout, ServiceError, Unavailable
from chassis.health import Health, HealthCheck, HealthSettings, Status
from chassis.http_client import CircuitOpen, CircuitState, HttpClient, HttpClientSettings
from chassis.lifecycle import Lifecycle
from chassis.metrics import Metrics, MetricsSettings
from chassis.service_settings import ServiceSettings
from chassis.testing import CapturedLogs, FakeClock, MetricsReader, capture_logs
from chassis.testing import connect as connect_to

Behaviour = Callable[["Call"], Awaitable[None]]


@dataclass
class Call:
    """One request that reached the upstream."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    async def answer(self, status: int, body: bytes = b"ok", **headers: str) -> None:
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} Any\r\ncontent-length: {len(body)}\r\n{fields}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


@dataclass
class Upstream:
    """A server that behaves as its script says, request by request; the last entry repeats."""

    script: list[Behaviour]
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                method, path, _ = first.split()
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                call = Call(method, path, headers, body, writer)
                self.calls.append(call)
                self.called.set()
                await self.script[min(len(self.calls), len(self.script)) - 1](call)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def upstream(*script: Behaviour) -> AsyncIterator[Upstream]:
    it = Upstream(list(script))
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    it.url = f"http://127.0.0.1:{port}"
    try:
        yield it
    finally:
        server.close()
        for call in it.calls:
            call.writer.transport.abort()


def answers(status: int, body: bytes = b"ok", **headers: str) -> Behaviour:
    async def behave(call: Call) -> None:
        await call.answer(status, body, **headers)

    return behave


async def resets(call: Call) -> None:
    call.writer.transport.abort()


async def resets_mid_body(call: Call) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await call.writer.drain()
    call.writer.close()


async def hangs(_: Call) -> None:
    await asyncio.Event().wait()


async def trickles(call: Call) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not call.writer.transport.is_closing():
        call.writer.write(b".")
        await asyncio.sleep(0.01)


async def talks_nonsense(call: Call) -> None:
    call.writer.write(b"220 smtp.example.org ESMTP password=hunter2\r\n\r\n")
    await call.writer.drain()
    call.writer.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[CapturedLogs]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(MetricsSettings(), service="orders", version="1.0")


Connect = Callable[..., HttpClient]


@pytest.fixture
async def connect(clock: FakeClock, metrics: Metrics) -> AsyncIterator[Connect]:
    """Clients for an upstream, on the fake clock, with the longest possible waits; closed after the test."""
    clients: list[HttpClient] = []

    def open_client(url: str, settings: dict[str, Any] | None = None, **options: Any) -> HttpClient:
        defaults: dict[str, Any] = {
            "target": "billing",
            "base_url": url,
            "metrics": metrics,
            "clock": clock,
            "sleep": clock.sleep,
            "jitter": lambda: 1.0,
        }
        chosen = HttpClientSettings(**{"trust_env": False, **(settings or {})})
        client = HttpClient(chosen, **{**defaults, **options})
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()


def attempts(metrics: Metrics, method: str, status: str) -> float:
    return MetricsReader(metrics).value(
        "service_http_client_requests_total", target="billing", method=method, status=status
    )


async def test_an_answer_is_returned_with_its_body_read(connect: Connect) -> None:
    async with upstream(answers(200, b'{"id": 7}')) as billing:
        response = await connect(billing.url).get("/invoices/7")
    assert response.json() == {"id": 7}
    assert isinstance(response, httpx2.Response)
    assert billing.calls[0].path == "/invoices/7"


async def test_a_client_of_a_service_calls_its_upstream_and_is_counted_there() -> None:
    environment = Environment(ServiceSettings(http_client=HttpClientSettings(trust_env=False)))
    async with upstream(answers(200, b'{"id": 7}')) as billing, environment.lifecycle.running():
        client = environment.http("billing", billing.url)
        assert (await client.get("/invoices/7")).json() == {"id": 7}
    assert attempts(environment.metrics, "GET", "200") == 1


async def test_a_client_outside_a_service_needs_settings_and_a_target_alone() -> None:
    async with upstream(answers(200)) as billing:
        client = HttpClient(HttpClientSettings(trust_env=False), target="billing", base_url=billing.url)
        assert (await client.get("/")).status_code == 200
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.get("/")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_each_method_is_sent_as_it_is_called(connect: Connect, method: str) -> None:
    async with upstream(answers(200)) as billing:
        await getattr(connect(billing.url), method)("/", json={"a": 1}, params={"b": "2"})
    assert billing.calls[0].method == method.upper()
    assert billing.calls[0].path == "/?b=2"
    assert billing.calls[0].body == b'{"a":1}'


@pytest.mark.parametrize("status", [204, 302, 400, 404, 409])
async def test_what_the_caller_must_understand_is_returned(connect: Connect, status: int) -> None:
    async with upstream(answers(status, b"", location="http://127.0.0.1:9/")) as billing:
        response = await connect(billing.url).get("/")
    assert response.status_code == status
    assert len(billing.calls) == 1


async def test_connections_are_used_again(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        client = connect(billing.url)
        for _ in range(3):
            await client.get("/")
    assert billing.connections == 1


@pytest.mark.parametrize("status", [502, 503, 504, 429])
async def test_a_passing_failure_is_tried_again(connect: Connect, status: int) -> None:
    async with upstream(answers(status), answers(200, b"now")) as billing:
        response = await connect(billing.url).get("/")
    assert response.content == b"now"


async def test_a_connection_that_breaks_is_tried_again(connect: Connect) -> None:
    async with upstream(resets, resets_mid_body, answers(200, b"now")) as billing:
        response = await connect(billing.url).get("/")
    assert response.content == b"now"


async def test_the_connection_of_a_failed_answer_goes_back_to_the_pool(connect: Connect) -> None:
    async with upstream(answers(503, b"x" * 5000), answers(500), answers(200)) as billing:
        client = connect(billing.url, {"max_connections": 1})
        with pytest.raises(BadGateway):
            await client.get("/")
        await client.get("/")
    assert billing.connections == 1


LONGEST_WAITS = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]


async def test_the_waits_between_attempts_double(connect: Connect, clock: FakeClock) -> None:
    async with upstream(answers(502)) as billing:
        with pytest.raises(BadGateway):
            await connect(billing.url, {"retries": 10, "breaker_failures": 99}).get("/")
    assert clock.slept == pytest.approx(LONGEST_WAITS)


async def test_clients_that_failed_together_do_not_return_together(clock: FakeClock) -> None:
    settings = HttpClientSettings(retries=10, breaker_failures=99, trust_env=False)
    waits = []
    async with upstream(answers(502)) as billing:
        for _ in range(2):
            clock.slept.clear()
            client = HttpClient(
                settings, target="billing", base_url=billing.url, clock=clock, sleep=clock.sleep
            )
            with pytest.raises(BadGateway):
                await client.get("/")
            await client.close()
            waits.append(tuple(clock.slept))
    assert len({*waits, tuple(LONGEST_WAITS)}) == 3
    assert all(wait <= most for one in waits for wait, most in zip(one, LONGEST_WAITS, strict=True))


async def test_retry_after_is_waited_for(connect: Connect, clock: FakeClock) -> None:
    async with upstream(answers(503, retry_after="4"), answers(200)) as billing:
        await connect(billing.url).get("/")
    assert clock.slept == [4.0]


async def test_a_long_retry_after_is_handed_to_the_caller(connect: Connect, clock: FakeClock) -> None:
    async with upstream(answers(429, retry_after="3600")) as billing:
        with pytest.raises(Unavailable) as caught:
            await connect(billing.url).get("/")
    assert caught.value.retry_after == 3600
    assert len(billing.calls) == 1
    assert clock.slept == []


@pytest.mark.parametrize("status", [500, 501, 400])
async def test_a_lasting_failure_is_not_tried_again(connect: Connect, status: int) -> None:
    async with upstream(answers(status)) as billing:
        await connect(billing.url).get("/", return_errors=True)
    assert len(billing.calls) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_a_call_without_further_effect_is_repeated(connect: Connect, method: str) -> None:
    async with upstream(answers(503, b""), answers(200, b"")) as billing:
        assert (await connect(billing.url).request(method, "/")).status_code == 200
    assert [call.method for call in billing.calls] == [method, method]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_call_that_may_have_had_its_effect_is_not_repeated(connect: Connect, method: str) -> None:
    async with upstream(answers(503), answers(200)) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url).request(method, "/payments", json={})
    assert len(billing.calls) == 1


@pytest.mark.parametrize("options", [{"headers": {"Idempotency-Key": "k1"}}, {"idempotent": True}])
async def test_a_post_that_says_it_is_idempotent_is_repeated(
    connect: Connect, options: dict[str, Any]
) -> None:
    async with upstream(answers(503), answers(200)) as billing:
        await connect(billing.url).post("/payments", json={"amount": 1}, **options)
    assert [call.body for call in billing.calls] == [b'{"amount":1}'] * 2


async def test_a_get_that_says_it_is_not_idempotent_is_not_repeated(connect: Connect) -> None:
    async with upstream(answers(503), answers(200)) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url).get("/", idempotent=False)
    assert len(billing.calls) == 1


async def test_a_streamed_body_is_not_sent_twice(connect: Connect) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    async with upstream(answers(503), answers(200)) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url).put("/", content=body(), headers={"Content-Length": "4"})
    assert [call.body for call in billing.calls] == [b"once"]


async def test_retries_stay_within_the_budget(connect: Connect, metrics: Metrics) -> None:
    settings = {
        "retry_budget": 0.0,
        "retry_burst": 3,
        "breaker_failures": 1000,
        "breaker_minimum_calls": 1000,
    }
    async with upstream(answers(503)) as billing:
        client = connect(billing.url, settings)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await client.get("/")
    assert len(billing.calls) == 5 + 3
    assert MetricsReader(metrics).value("service_http_client_retries_total", target="billing") == 3


async def test_an_upstream_that_stays_down_gets_one_retry_for_five_calls(connect: Connect) -> None:
    never_open = {"breaker_failures": 1000, "breaker_minimum_calls": 1000}
    async with upstream(answers(503)) as billing:
        client = connect(billing.url, never_open)
        for _ in range(100):
            with suppress(Unavailable):
                await client.get("/")
    reserve, fifth = 10, 20
    assert 100 + reserve + fifth - 3 <= len(billing.calls) <= 100 + reserve + fifth


async def test_the_deadline_holds_all_attempts_and_the_waits_between_them(
    connect: Connect, clock: FakeClock
) -> None:
    async with upstream(answers(503, retry_after="2")) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url, {"deadline": 5.0, "retries": 9}).get("/")
    assert clock.slept == [2.0, 2.0]


async def test_no_retry_begins_that_the_deadline_would_cut_off(connect: Connect, clock: FakeClock) -> None:
    async with upstream(answers(503, retry_after="4")) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url).get("/", deadline=3.0)
    assert clock.slept == []
    assert len(billing.calls) == 1


async def test_a_refused_connection_is_a_bad_gateway(
    connect: Connect, free_tcp_port: int, metrics: Metrics
) -> None:
    with pytest.raises(BadGateway, match="'billing' cannot be reached"):
        await connect(f"http://127.0.0.1:{free_tcp_port}").get("/")
    assert attempts(metrics, "GET", "connect_error") == 3


async def test_an_upstream_that_hangs_is_a_gateway_timeout(connect: Connect, metrics: Metrics) -> None:
    async with upstream(hangs) as billing:
        with pytest.raises(GatewayTimeout):
            await connect(billing.url, {"read_timeout": 0.05}).get("/")
    assert attempts(metrics, "GET", "timeout") == 3


@pytest.mark.parametrize(("settings", "options"), [({}, {"deadline": 0.1}), ({"deadline": 0.1}, {})])
async def test_an_upstream_that_trickles_is_cut_off_by_the_deadline(
    connect: Connect, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    async with upstream(trickles) as billing:
        with pytest.raises(GatewayTimeout):
            await connect(billing.url, {"retries": 0, **settings}).get("/", **options)


@pytest.mark.parametrize("part", ["connect", "read", "write", "pool"])
async def test_each_timeout_bounds_its_part_of_an_attempt(connect: Connect, part: str) -> None:
    seen: list[dict[str, float]] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return httpx2.Response(200, stream=httpx2.ByteStream(b""))

    usual = HttpClientSettings(trust_env=False)
    for settings in (usual, usual.model_copy(update={f"{part}_timeout": 60.0})):
        transport = httpx2.MockTransport(handle)
        await connect("http://billing.test", settings.model_dump(), transport=transport).get("/")
    assert seen[1] == {**seen[0], part: 60.0}


@pytest.mark.parametrize(
    "made",
    [{}, {"text": "sunny"}, {"content": gzip.compress(b"sunny"), "headers": {"Content-Encoding": "gzip"}}],
)
async def test_the_answer_of_a_mock_is_returned(connect: Connect, made: dict[str, Any]) -> None:
    """It has its body from the start; one without a body has no length either."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(404, **made))
    answer = await connect("http://billing.test", transport=transport).get("/")
    assert (answer.status_code, answer.text) == (404, "sunny" if made else "")
    if made:
        with pytest.raises(BadGateway, match="more than 4 bytes"):
            await connect("http://billing.test", {"max_response_bytes": 4}, transport=transport).get("/")


async def test_a_broken_body_is_a_bad_gateway(connect: Connect) -> None:
    async with upstream(resets_mid_body) as billing:
        with pytest.raises(BadGateway, match="broke off"):
            await connect(billing.url).get("/")


async def test_nothing_that_the_upstream_said_reaches_the_error(connect: Connect) -> None:
    async with upstream(talks_nonsense) as billing:
        with pytest.raises(BadGateway) as caught:
            await connect(billing.url).get("/")
    assert "hunter2" not in str(caught.value.detail)
    async with upstream(answers(500, b"password=hunter2")) as billing:
        with pytest.raises(BadGateway) as caught:
            await connect(billing.url).get("/")
    assert caught.value.detail == "The upstream 'billing' answered 500."


@dataclass
class Failure:
    """What goes wrong in a call, and what that comes to."""

    label: str
    error: type[ServiceError]
    status: int
    behaviour: Behaviour | None
    settings: dict[str, Any] = field(default_factory=dict)
    retry_after: str | None = None
    opens: bool = True


NO_GZIP = answers(200, b"hunter2", content_encoding="gzip")
FAILURES = [
    Failure("connect_error", BadGateway, 502, None),
    Failure("connection_error", BadGateway, 502, resets),
    Failure("connection_error", BadGateway, 502, resets_mid_body),
    Failure("connection_error", BadGateway, 502, talks_nonsense),
    Failure("undecodable", BadGateway, 502, NO_GZIP),
    Failure("too_large", BadGateway, 502, answers(200, b"hunter2"), {"max_response_bytes": 3}, opens=False),
    Failure("500", BadGateway, 502, answers(500, b"hunter2", x_note="hunter2")),
    Failure("502", BadGateway, 502, answers(502, b"hunter2", retry_after="7")),
    Failure("timeout", GatewayTimeout, 504, hangs, {"read_timeout": 0.05}),
    Failure("timeout", GatewayTimeout, 504, trickles, {"deadline": 0.1}),
    Failure("504", GatewayTimeout, 504, answers(504, b"hunter2")),
    Failure("503", Unavailable, 503, answers(503, b"hunter2", retry_after="7"), retry_after="7"),
    Failure("503", Unavailable, 503, answers(503, b"hunter2")),
    Failure("429", Unavailable, 503, answers(429, b"hunter2", retry_after="7"), retry_after="7", opens=False),
]


@asynccontextmanager
async def failing(failure: Failure, connect: Connect, port: int) -> AsyncIterator[HttpClient]:
    """A client whose calls fail so; its first failure opens the circuit."""
    settings = {"retries": 0, "breaker_failures": 1, **failure.settings}
    if failure.behaviour is None:
        yield connect(f"http://127.0.0.1:{port}", settings)
    else:
        async with upstream(failure.behaviour) as billing:
            yield connect(billing.url, settings)


async def through_an_endpoint(client: HttpClient) -> httpx2.Response:
    """Let the error of a call pass through an endpoint of a service, and return what its client gets."""
    router = APIRouter()

    @router.get("/orders")
    async def orders() -> None:
        await client.get("/")

    async with connect_to(create_app(ServiceSettings(), routers=[router])) as asker:
        return await asker.get("/orders")


every_failure = pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.label)


@every_failure
async def test_a_failed_call_is_an_error_and_a_label(
    connect: Connect, metrics: Metrics, failure: Failure, free_tcp_port: int
) -> None:
    async with failing(failure, connect, free_tcp_port) as client:
        with pytest.raises(failure.error):
            await client.get("/")
    assert MetricsReader(metrics).labels("service_http_client_requests_total", "status") == {failure.label}


@every_failure
async def test_what_opens_the_circuit(connect: Connect, failure: Failure, free_tcp_port: int) -> None:
    async with failing(failure, connect, free_tcp_port) as client:
        with pytest.raises(failure.error):
            await client.get("/")
    assert client.breaker.state is (CircuitState.OPEN if failure.opens else CircuitState.CLOSED)


@every_failure
async def test_an_endpoint_that_lets_an_error_pass_answers_its_own_client(
    connect: Connect, failure: Failure, free_tcp_port: int
) -> None:
    async with failing(failure, connect, free_tcp_port) as client:
        answer = await through_an_endpoint(client)
    assert (answer.status_code, answer.headers.get("retry-after")) == (failure.status, failure.retry_after)
    assert "'billing'" in answer.json()["detail"]
    assert not failure.label.isdigit() or failure.label in answer.json()["detail"]
    assert "hunter2" not in f"{answer.headers} {answer.text}"


async def test_an_endpoint_answers_for_an_open_circuit(connect: Connect) -> None:
    async with upstream(answers(500)) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(BadGateway):
            await client.get("/")
        answer = await through_an_endpoint(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "15")
    assert "'billing'" in answer.json()["detail"]


async def test_an_endpoint_answers_for_an_exhausted_pool(connect: Connect) -> None:
    async with upstream(hangs) as billing:
        client = connect(billing.url, {"max_connections": 1, "pool_timeout": 0.05})
        first = asyncio.create_task(client.get("/"))
        await billing.called.wait()
        answer = await through_an_endpoint(client)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
    assert answer.status_code == 503
    assert "'billing'" in answer.json()["detail"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_final_failure_is_returned_where_the_caller_asks_for_it(
    connect: Connect, status: int
) -> None:
    async with upstream(answers(status, b"why")) as billing:
        response = await connect(billing.url).get("/", return_errors=True)
    assert (response.status_code, response.content) == (status, b"why")


async def test_a_body_that_cannot_be_decoded_is_a_bad_gateway(connect: Connect) -> None:
    async with upstream(answers(200, b"no gzip", content_encoding="gzip")) as billing:
        with pytest.raises(BadGateway, match="decoded"):
            await connect(billing.url).get("/")
    assert len(billing.calls) == 1


async def test_an_exhausted_pool_says_so_and_blames_nobody(connect: Connect, metrics: Metrics) -> None:
    async with upstream(hangs) as billing:
        client = connect(billing.url, {"max_connections": 1, "pool_timeout": 0.05, "breaker_failures": 1})
        first = asyncio.create_task(client.get("/"))
        await billing.called.wait()
        with pytest.raises(Unavailable, match="Too many calls"):
            await client.get("/")
        assert client.breaker.state is CircuitState.CLOSED
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert attempts(metrics, "GET", "pool_timeout") == 1
    assert attempts(metrics, "GET", "cancelled") == 1


async def test_a_mistake_of_the_caller_is_raised_as_it_is(connect: Connect) -> None:
    client = connect("", {"breaker_failures": 1})
    with pytest.raises(httpx2.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")
    async with upstream(answers(200)) as billing:
        with pytest.raises(httpx2.LocalProtocolError):
            await client.get(billing.url, headers={"X-Note": "two\nlines"})
    assert client.breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("url", ["http://evil.test/", "https://127.0.0.1/", "http://127.0.0.1:1/"])
async def test_a_call_cannot_leave_the_base_url(connect: Connect, url: str) -> None:
    client = connect("http://127.0.0.1:9999", headers={"Authorization": "Bearer secret"})
    with pytest.raises(ValueError, match="leaves its base URL"):
        await client.get(url)


@pytest.mark.parametrize(
    "url",
    [
        *("..", "/cities/..", "/cities/.", "/cities/../../internal", "../internal", "/cities/./x"),
        *("/cities/..?page=1", "/cities/..#top", "/cities/%2e%2E/x", "/cities/.%2e"),
        *("http://127.0.0.1:9999/v1/..", "http://127.0.0.1:9999/v1/../internal"),
    ],
)
async def test_a_path_cannot_lead_out_of_the_base_url(connect: Connect, url: str) -> None:
    client = connect("http://127.0.0.1:9999/v1")
    with pytest.raises(ValueError, match="a call to 'billing' may leave its base URL"):
        await client.get(url)


@pytest.mark.parametrize("path", ["/.well-known/x", "/...", "/a..b", "/notes.txt", "/x?from=/../y"])
async def test_other_dots_stay_in_a_path(connect: Connect, path: str) -> None:
    async with upstream(answers(200)) as billing:
        await connect(f"{billing.url}/v1").get(path)
    assert billing.calls[0].path == f"/v1{path}"


async def test_a_quoted_value_is_one_segment_of_the_path(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        await connect(f"{billing.url}/v1").get(f"/cities/{quote('../Rome?admin=1#x', safe='')}")
    assert billing.calls[0].path == "/v1/cities/..%2FRome%3Fadmin%3D1%23x"


async def test_without_a_base_url_a_path_may_have_any_segment(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        await connect("").get(f"{billing.url}/v1/../x")
    assert billing.calls[0].path == "/x"


async def test_the_breaker_opens_and_calls_fail_without_being_made(
    connect: Connect, metrics: Metrics
) -> None:
    async with upstream(answers(500)) as billing:
        client = connect(billing.url, {"breaker_failures": 2})
        for _ in range(2):
            with pytest.raises(BadGateway):
                await client.get("/")
        with pytest.raises(CircuitOpen):
            await client.get("/")
    assert len(billing.calls) == 2
    assert attempts(metrics, "GET", "circuit_open") == 1
    assert (
        MetricsReader(metrics).value("service_circuit_breaker_state", target="billing") == CircuitState.OPEN
    )


async def test_each_client_has_a_circuit_of_its_own(connect: Connect) -> None:
    async with upstream(answers(500)) as billing:
        first, second = (connect(billing.url, {"breaker_failures": 1}) for _ in range(2))
        with pytest.raises(BadGateway):
            await first.get("/")
    assert (first.breaker.state, second.breaker.state) == (CircuitState.OPEN, CircuitState.CLOSED)


async def test_a_cancelled_call_is_no_failure_of_the_upstream(connect: Connect) -> None:
    async with upstream(hangs) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        call = asyncio.create_task(client.get("/"))
        await billing.called.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert client.breaker.state is CircuitState.CLOSED


async def test_an_open_circuit_is_exported_as_open_until_a_call_is_let_through(
    connect: Connect, clock: FakeClock, metrics: Metrics
) -> None:
    exported = []

    async def looks(call: Call) -> None:
        exported.append(MetricsReader(metrics).value("service_circuit_breaker_state", target="billing"))
        await call.answer(200)

    async with upstream(answers(500), looks) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(BadGateway):
            await client.get("/")
        clock.advance(100)
        exported.append(MetricsReader(metrics).value("service_circuit_breaker_state", target="billing"))
        await client.get("/")
    assert exported == [2, 1]


async def test_an_opened_breaker_ends_the_retries(connect: Connect) -> None:
    async with upstream(answers(503)) as billing:
        with pytest.raises(Unavailable):
            await connect(billing.url, {"breaker_failures": 2, "retries": 5}).get("/")
    assert len(billing.calls) == 2


async def test_the_circuit_closes_when_the_upstream_is_back(
    connect: Connect, clock: FakeClock, metrics: Metrics
) -> None:
    async with upstream(answers(500), answers(200)) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(BadGateway):
            await client.get("/")
        clock.advance(15)
        await client.get("/")
    assert client.breaker.state is CircuitState.CLOSED
    assert MetricsReader(metrics).value("service_circuit_breaker_state", target="billing") == 0


async def test_being_told_to_slow_down_is_no_failure_of_the_upstream(connect: Connect) -> None:
    async with upstream(answers(429)) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(Unavailable):
            await client.get("/")
    assert client.breaker.state is CircuitState.CLOSED


async def test_the_request_id_goes_with_the_call(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        with context.bound(request_id="a" * 32):
            await connect(billing.url).get("/")
            await connect(billing.url).get("/", headers={"X-Request-ID": "mine"})
            await connect(billing.url, propagate=False).get("/")
        await connect(billing.url).get("/")
    sent = [call.headers.get("x-request-id") for call in billing.calls]
    assert sent == ["a" * 32, "mine", None, None]


async def test_the_trace_context_goes_with_the_call(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inject(headers: Any) -> None:
        headers["traceparent"] = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"

    monkeypatch.setattr("chassis.tracing.inject", inject)
    async with upstream(answers(200)) as billing:
        await connect(billing.url).get("/")
        await connect(billing.url, propagate=False).get("/")
    assert billing.calls[0].headers["traceparent"].startswith("00-1111")
    assert "traceparent" not in billing.calls[1].headers


async def test_cookies_of_one_call_are_not_sent_with_the_next(connect: Connect) -> None:
    async with upstream(answers(200, set_cookie="session=alice")) as billing:
        client = connect(billing.url)
        await client.get("/")
        await client.get("/")
    assert "cookie" not in billing.calls[1].headers


async def test_credentials_go_with_each_call(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        await connect(billing.url, auth=("user", "pw")).get("/")
        await connect(billing.url).get("/", auth=("user", "pw"))
    assert [call.headers["authorization"] for call in billing.calls] == ["basic dxnlcjpwdw=="] * 2


async def test_headers_of_the_client_go_with_each_call(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        client = connect(billing.url, headers={"X-Api-Key": "k1"})
        await client.get("/")
        await client.post("/", headers={"X-Other": "1"})
    assert [call.headers["x-api-key"] for call in billing.calls] == ["k1", "k1"]


async def test_redirects_are_not_followed(connect: Connect) -> None:
    async with upstream(answers(302, b"", location="/elsewhere")) as billing:
        response = await connect(billing.url).get("/")
    assert response.next_request is not None
    assert len(billing.calls) == 1


async def test_a_body_larger_than_the_cap_is_refused(connect: Connect, metrics: Metrics) -> None:
    async with upstream(answers(200, b"x" * 2000)) as billing:
        client = connect(billing.url, {"max_response_bytes": 1000, "breaker_failures": 1})
        with pytest.raises(BadGateway, match="more than 1000 bytes"):
            await client.get("/")
    assert attempts(metrics, "GET", "too_large") == 1
    assert client.breaker.state is CircuitState.CLOSED


async def test_a_small_body_that_unpacks_beyond_the_cap_is_refused(connect: Connect) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    async with upstream(answers(200, bomb, content_encoding="gzip")) as billing:
        with pytest.raises(BadGateway, match="more than"):
            await connect(billing.url, {"max_response_bytes": 10_000}).get("/")


async def test_a_compressed_body_within_the_cap_is_unpacked(connect: Connect) -> None:
    packed = gzip.compress(b'{"a": 1}')
    async with upstream(
        answers(200, packed, content_encoding="gzip", content_type="application/json", etag="v1")
    ) as billing:
        response = await connect(billing.url).get("/")
    assert response.json() == {"a": 1}
    assert response.headers["etag"] == "v1"
    assert "content-encoding" not in response.headers
    assert response.elapsed.total_seconds() > 0


async def test_no_cap_reads_everything(connect: Connect) -> None:
    async with upstream(answers(200, gzip.compress(b"x" * 5000), content_encoding="gzip")) as billing:
        response = await connect(billing.url, {"max_response_bytes": 0}).get("/")
    assert len(response.content) == 5000


async def test_a_streamed_answer_is_read_inside_the_block(connect: Connect) -> None:
    async with upstream(answers(503), answers(200, b"piece by piece")) as billing:
        client = connect(billing.url, {"max_connections": 1})
        async with client.stream("GET", "/") as response:
            content = b"".join([piece async for piece in response.aiter_bytes()])
        await client.get("/")
    assert content == b"piece by piece"
    assert billing.connections == 1


async def test_a_streamed_answer_that_breaks_is_a_bad_gateway(connect: Connect) -> None:
    async with upstream(resets_mid_body) as billing:
        with pytest.raises(BadGateway):
            async with connect(billing.url).stream("GET", "/") as response:
                await response.aread()


async def test_what_the_reader_of_a_stream_raises_is_not_touched(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        with pytest.raises(LookupError):
            async with connect(billing.url).stream("GET", "/"):
                raise LookupError


async def test_a_stream_is_bounded_by_neither_the_deadline_nor_a_size(connect: Connect) -> None:
    loop = asyncio.get_running_loop()
    async with upstream(trickles) as billing:
        client = connect(billing.url, {"max_response_bytes": 1, "deadline": 0.05})
        started, size = loop.time(), 0
        async with client.stream("GET", "/") as response:
            async for piece in response.aiter_bytes():
                size += len(piece)
                if loop.time() > started + 0.06:
                    break
    assert size > 1


async def test_a_stream_that_hangs_is_ended_by_the_read_timeout_once_and_the_circuit_ignores_it(
    connect: Connect,
) -> None:
    async def hangs_mid_body(call: Call) -> None:
        call.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await hangs(call)

    async with upstream(hangs_mid_body) as billing:
        client = connect(billing.url, {"read_timeout": 0.05, "breaker_failures": 1})
        with pytest.raises(GatewayTimeout):
            async with client.stream("GET", "/") as response:
                await response.aread()
    assert len(billing.calls) == 1
    assert client.breaker.state is CircuitState.CLOSED


async def test_a_probe_says_how_the_circuit_is(connect: Connect) -> None:
    async with upstream(answers(200)) as billing:
        assert await connect(billing.url).probe("/health/live")() == "circuit closed"
    assert billing.calls[0].path == "/health/live"


async def test_a_probe_fails_when_the_upstream_does_and_leaves_the_circuit_alone(connect: Connect) -> None:
    async with upstream(answers(500)) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(BadGateway):
            await client.probe()()
    assert len(billing.calls) == 1
    assert client.breaker.state is CircuitState.CLOSED


async def test_a_health_check_asks_the_upstream_past_an_open_circuit(connect: Connect) -> None:
    async with upstream(answers(500), answers(200)) as billing:
        client = connect(billing.url, {"breaker_failures": 1})
        with pytest.raises(BadGateway):
            await client.get("/")
        health = Health(HealthSettings(), lifecycle=Lifecycle(), service="orders", version="1.0")
        health.add(HealthCheck("billing", client.probe("/health/live"), critical=False))
        results = {result.name: result for result in (await health.report()).checks}
    assert results["billing"].status is Status.HEALTHY
    assert results["billing"].detail == "circuit open"
    assert [call.path for call in billing.calls] == ["/", "/health/live"]


async def test_a_client_without_metrics_does_the_same(connect: Connect) -> None:
    async with upstream(answers(503), answers(200), answers(500)) as billing:
        client = connect(billing.url, {"breaker_failures": 2}, metrics=None)
        assert (await client.get("/")).status_code == 200
        for _ in range(2):
            with pytest.raises(BadGateway):
                await client.get("/")
        with pytest.raises(CircuitOpen):
            await client.get("/")


async def test_clients_of_one_application_share_the_metrics(connect: Connect, metrics: Metrics) -> None:
    async with upstream(answers(200)) as server:
        await connect(server.url).get("/")
        await connect(server.url, target="shipping").get("/")
    targets = MetricsReader(metrics).labels("service_http_client_requests_total", "target")
    assert targets == {"billing", "shipping"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("service_http_client_requests_total", {"target", "method", "status"}),
        ("service_http_client_request_duration_seconds_count", {"target"}),
        ("service_http_client_retries_total", {"target"}),
        ("service_circuit_breaker_state", {"target"}),
    ],
)
async def test_each_metric_has_these_labels(
    connect: Connect, metrics: Metrics, name: str, labels: set[str]
) -> None:
    async with upstream(answers(503), answers(200)) as billing:
        await connect(billing.url).get("/")
    samples = MetricsReader(metrics).samples(name)
    assert samples
    assert all(found.keys() == labels for found, _ in samples)


PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without the proxies of this machine."""
    for variable in PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("trust_env", "excepted", "asked"), [(True, "", 1), (False, "", 0), (True, "127.0.0.1", 0)]
)
async def test_the_proxy_of_the_environment_is_used_unless_told_otherwise(
    connect: Connect,
    no_proxy: pytest.MonkeyPatch,
    free_tcp_port: int,
    *,
    scheme: str,
    trust_env: bool,
    excepted: str,
    asked: int,
) -> None:
    async with upstream(answers(502)) as proxy:
        no_proxy.setenv(f"{scheme}_proxy".upper(), proxy.url)
        no_proxy.setenv("NO_PROXY", excepted)
        settings = {"trust_env": trust_env, "retries": 0}
        with pytest.raises(BadGateway):
            await connect(f"{scheme}://127.0.0.1:{free_tcp_port}", settings).get("/")
    assert len(proxy.calls) == asked


def test_the_authorities_of_the_environment_are_trusted_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    HttpClient(HttpClientSettings(trust_env=False), target="billing")
    with pytest.raises(FileNotFoundError):
        HttpClient(HttpClientSettings(), target="billing")


async def test_a_closed_client_makes_no_calls(connect: Connect) -> None:
    client = connect("http://127.0.0.1:9")
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("/")


async def test_a_call_is_one_line_whatever_its_attempts(connect: Connect, logs: CapturedLogs) -> None:
    async with upstream(answers(503, retry_after="4"), answers(200)) as billing:
        await connect(billing.url).get("/invoices/7")
    assert logs.one()["event"] == "api_call"
    call = logs.one("api_call", target="billing", method="GET", status=200, attempts=2)
    assert call["url"] == f"{billing.url}/invoices/7"
    assert call["duration_ms"] == 4000
    assert call["level"] == "info"


async def test_a_failed_call_is_logged_with_its_cause(
    connect: Connect, free_tcp_port: int, logs: CapturedLogs
) -> None:
    with pytest.raises(BadGateway):
        await connect(f"http://127.0.0.1:{free_tcp_port}", {"retries": 0}).get("/")
    assert logs.one("api_call", outcome="connect_error")["error"].startswith("ConnectError")


async def test_a_failed_answer_is_logged_with_its_status(connect: Connect, logs: CapturedLogs) -> None:
    async with upstream(answers(500)) as billing:
        with pytest.raises(BadGateway):
            await connect(billing.url).get("/")
    assert logs.one("api_call", level="error")["status"] == 500


async def test_a_call_that_was_given_up_is_logged_as_cancelled(connect: Connect, logs: CapturedLogs) -> None:
    async with upstream(hangs) as billing:
        call = asyncio.create_task(connect(billing.url).get("/"))
        await billing.called.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert logs.one("api_call", outcome="cancelled")["level"] == "info"


async def test_a_mistake_of_the_caller_is_logged(connect: Connect, logs: CapturedLogs) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await connect("").get("ftp://127.0.0.1/")
    assert logs.one("api_call", outcome="error")["level"] == "error"


async def test_a_mistake_of_the_caller_is_counted_as_one(connect: Connect, metrics: Metrics) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await connect("").get("ftp://127.0.0.1/")
    assert attempts(metrics, "GET", "error") == 1


async def test_no_credential_is_logged(connect: Connect, logs: CapturedLogs) -> None:
    async with upstream(answers(200)) as billing:
        client = connect(
            billing.url.replace("://", "://user:hunter2@"), headers={"Authorization": "Bearer hunter2"}
        )
        await client.get("/", params={"api_key": "hunter2"}, headers={"Cookie": "session=hunter2"})
    assert billing.calls
    assert "hunter2" not in logs.text
