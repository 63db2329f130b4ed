"""The gateways' configuration under their own checkers, and in agreement with the settings of the service."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.service_settings import ServiceSettings

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

ANSWER_SETS: list[dict[str, Any]] = [{}, {"port": 65535, "service_slug": "no"}, {"bundles": ["database"]}]
# What uvicorn does with an open WebSocket.
PING_SECONDS = 20


@pytest.fixture(params=ANSWER_SETS, ids=["default", "other", "database"])
def checked(
    request: pytest.FixtureRequest, render: Callable[..., Path], certificate: Path, tmp_path: Path
) -> Path:
    """A copy of deploy/ with a certificate; names of containers become an address."""
    folder = Path(shutil.copytree(render(**request.param) / "deploy", tmp_path / "deploy"))
    for name in ("tls.crt", "tls.key"):
        shutil.copy2(certificate / name, folder / "tls")
    upstream = folder / "nginx" / "upstream.conf"
    upstream.write_text(
        upstream.read_text(encoding="utf-8").replace("server service:", "server 127.0.0.1:"), encoding="utf-8"
    )
    return folder


def test_nginx_accepts_it(checked: Path, check: Callable[..., str]) -> None:
    said = check("nginx", "-t", "-c", checked / "nginx" / "nginx.conf")
    assert "test is successful" in said
    assert "[warn]" not in said.replace('the "user" directive', "")


def test_envoy_accepts_it(checked: Path, check: Callable[..., str]) -> None:
    said = check("envoy", "--mode", "validate", "--config-path", "envoy.yaml", cwd=checked / "envoy")
    assert "OK" in said
    assert "deprecated" not in said.lower()


def seconds(text: str) -> float:
    """A time of nginx or Envoy."""
    return float(text.removesuffix("s"))


def directives(configuration: str) -> dict[str, str]:
    """The directives of an nginx configuration that stand on one line, the last of each name."""
    return dict(re.findall(r"^\s*([a-z_]+) ([^;{]+);", configuration, re.MULTILINE))


def test_nginx_agrees_with_the_settings(render: Callable[..., Path]) -> None:
    text = (render() / "deploy" / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    found = directives(text)
    settings = ServiceSettings()
    assert found["client_max_body_size"] == "1m"
    assert settings.security.max_body_bytes == 2**20
    upstream = text[text.index("upstream service {") :]
    assert (
        seconds(directives(upstream[: upstream.index("}")])["keepalive_timeout"]) < settings.server.keep_alive
    )
    assert seconds(found["proxy_read_timeout"]) > max(PING_SECONDS, settings.lifecycle.shutdown_timeout)
    assert seconds(found["worker_shutdown_timeout"]) > settings.lifecycle.longest_stop("production")


def test_envoy_agrees_with_the_settings(render: Callable[..., Path]) -> None:
    document = yaml.safe_load((render() / "deploy" / "envoy" / "envoy.yaml").read_text(encoding="utf-8"))
    settings = ServiceSettings()
    (cluster,) = document["static_resources"]["clusters"]
    options = cluster["typed_extension_protocol_options"][
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    assert seconds(options["common_http_protocol_options"]["idle_timeout"]) < settings.server.keep_alive
    (health,) = cluster["health_checks"]
    assert health["http_health_check"]["path"] == "/health/ready"
    noticed = seconds(health["interval"]) * health["unhealthy_threshold"]
    assert noticed < settings.lifecycle.delay("production")
    gateway = document["static_resources"]["listeners"][1]["filter_chains"][0]["filters"][0]["typed_config"]
    _, limit, passing = gateway["route_config"]["virtual_hosts"][0]["routes"]
    (header,) = limit["match"]["headers"]
    assert header["range_match"]["start"] == settings.security.max_body_bytes + 1
    route = passing["route"]
    assert seconds(route["timeout"]) > settings.lifecycle.shutdown_timeout
    assert seconds(route["idle_timeout"]) > PING_SECONDS
    assert seconds(gateway["stream_idle_timeout"]) > PING_SECONDS
