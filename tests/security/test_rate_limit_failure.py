"""A limiter that is away must not take the service with it: against a whole service."""

from log_capture import capture_logs
from starlette.testclient import TestClient

from chassis.app import create_app
from chassis.bundle import Environment
from chassis.ratelimit import Decision, Quota
from chassis.service_settings import ServiceSettings


class Away:
    """A bundle whose store of counts cannot be reached."""

    name = "away"
    requires = ()

    def register(self, environment: Environment) -> None:
        environment.limiter = self

    async def hit(self, key: str, quota: Quota) -> Decision:
        raise ConnectionError("no route to host")


def test_requests_are_served_counted_and_told_once() -> None:
    client = TestClient(create_app(ServiceSettings(), bundles=[Away()]))
    with capture_logs() as logs:
        statuses = [client.get("/nowhere").status_code for _ in range(3)]
        metrics = client.get("/metrics").text

    warnings = [entry for entry in logs if entry["log_level"] == "warning" and "limiter" in entry["event"]]
    assert statuses == [404, 404, 404]
    assert len(warnings) == 1
    assert 'service_errors_total{component="rate_limiter",type="ConnectionError"} 3' in metrics.splitlines()
