"""The gateways' configuration under their own checkers, and in agreement with the settings of the service."""

import math
import re
import shlex
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml

import chassis.server
from chassis.service_settings import ServiceSettings

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
ANSWER_SETS: list[dict[str, Any]] = [{}, {"port": 65535, "service_slug": "no"}, {"bundles": ["database"]}]
# What uvicorn does with an open WebSocket.
PING_SECONDS = uvicorn.Config(app="none").ws_ping_interval or math.inf
READ_SECONDS = 30
IDLE_SECONDS = 50


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
    idle = seconds(directives(upstream[: upstream.index("}")])["keepalive_timeout"])
    assert (idle, settings.server.keep_alive) == (IDLE_SECONDS, 65)
    assert seconds(found["proxy_read_timeout"]) == READ_SECONDS
    assert max(PING_SECONDS, settings.lifecycle.shutdown_timeout) < READ_SECONDS
    assert seconds(found["worker_shutdown_timeout"]) > settings.lifecycle.longest_stop("production")


def test_envoy_agrees_with_the_settings(render: Callable[..., Path]) -> None:
    document = yaml.safe_load((render() / "deploy" / "envoy" / "envoy.yaml").read_text(encoding="utf-8"))
    settings = ServiceSettings()
    (cluster,) = document["static_resources"]["clusters"]
    options = cluster["typed_extension_protocol_options"][
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    assert seconds(options["common_http_protocol_options"]["idle_timeout"]) == IDLE_SECONDS
    assert settings.server.keep_alive > IDLE_SECONDS
    (health,) = cluster["health_checks"]
    assert health["http_health_check"]["path"] == "/health/ready"
    assert health["interval"] == "2s"
    noticed = seconds(health["interval"]) * health["unhealthy_threshold"]
    assert noticed < settings.lifecycle.delay("production")
    gateway = document["static_resources"]["listeners"][1]["filter_chains"][0]["filters"][0]["typed_config"]
    _, limit, passing = gateway["route_config"]["virtual_hosts"][0]["routes"]
    (header,) = limit["match"]["headers"]
    assert header["range_match"]["start"] == settings.security.max_body_bytes + 1
    route = passing["route"]
    assert seconds(route["timeout"]) == READ_SECONDS
    assert settings.lifecycle.shutdown_timeout < READ_SECONDS
    assert seconds(route["idle_timeout"]) > PING_SECONDS
    assert seconds(gateway["stream_idle_timeout"]) > PING_SECONDS


def test_the_service_pings_an_open_websocket_as_often_as_the_gateways_expect() -> None:
    assert PING_SECONDS == 20
    listener = Path(chassis.server.__file__).with_name("listener.py").read_text(encoding="utf-8")
    assert "ws_ping" not in listener, "uvicorn's own pace"


def test_nginx_limits_each_client_and_envoy_all_together(render: Callable[..., Path]) -> None:
    deploy = render() / "deploy"
    nginx = (deploy / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    zones = dict(re.findall(r"limit_(conn|req)_zone (\S+) zone=", nginx))
    assert zones == dict.fromkeys(("conn", "req"), "$binary_remote_addr")
    assert re.findall(r"limit_(?:conn|req) (.+);", nginx) == [
        "connections 100",
        "zone=requests burst=200 nodelay",
    ]
    envoy = yaml.safe_load((deploy / "envoy" / "envoy.yaml").read_text(encoding="utf-8"))
    (monitor,) = envoy["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] > 0
    gateway = envoy["static_resources"]["listeners"][1]["filter_chains"][0]["filters"][0]["typed_config"]
    (limit,) = (one["typed_config"] for one in gateway["http_filters"] if "local_ratelimit" in one["name"])
    assert limit["token_bucket"]["tokens_per_fill"] > 0
    assert "descriptors" not in limit, "one bucket for everybody"


def test_the_certificate_of_the_documentation_is_where_the_gateways_look(
    render: Callable[..., Path], check: Callable[..., str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    openssl (req (?:.*\\\n)*.*)$", page, re.MULTILINE)
    shutil.copytree(render() / "deploy", tmp_path / "deploy")
    check("openssl", *shlex.split(command.replace("\\\n", " ")), cwd=tmp_path)
    ssl.create_default_context().load_cert_chain(
        tmp_path / "deploy/tls/tls.crt", tmp_path / "deploy/tls/tls.key"
    )
    for name in ("nginx/nginx.conf", "envoy/envoy.yaml"):
        text = (tmp_path / "deploy" / name).read_text(encoding="utf-8")
        assert {f"../tls/tls.{end}" for end in ("crt", "key")} <= set(
            re.findall(r"\.\./tls/[\w.]+\b", text)
        ), name
