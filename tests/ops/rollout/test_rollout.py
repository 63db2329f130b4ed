"""Releases replace each other behind a real nginx under constant load, and no request fails.

The rollout is played by `cluster.py` with the values of the rendered production overlay; nginx runs the rendered
configuration, and its upstream.conf holds the pods that are ready.
"""

import os
import shutil
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sibling import sibling

pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]

REQUESTS = 20_000
CLIENTS = 32
# Seconds without progress after which a release is taken back here; the Deployment's own 300 only take longer.
DEADLINE = 12.0

BROKEN = '''

def create_app(settings: Settings | None = None) -> app.Service:
    """Build what is never ready, and fails each request that reaches it all the same."""
    service = app.create_app(settings or load(Settings))

    async def absent() -> None:
        raise ConnectionRefusedError("the new dependency is not there")

    @service.get("/items")
    @service.post("/items")
    async def fail() -> None:
        raise RuntimeError("a request reached the broken release")

    service.environment.health.add(HealthCheck("new dependency", absent))
    return service
'''


cluster, load = sibling(__file__, "cluster"), sibling(__file__, "load")


@pytest.fixture(scope="module")
def manifests(render: Callable[..., Path], check: Callable[..., str]) -> list[dict[str, Any]]:
    """What production gets."""
    folder = render() / "deploy" / "kubernetes" / "overlays" / "production"
    return list(yaml.safe_load_all(check("kubectl", "kustomize", folder)))


@pytest.fixture
def gateway(
    *,
    render: Callable[..., Path],
    certificate: Path,
    start: Callable[..., Any],
    tool: Callable[[str], str],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> tuple[int, Callable[[list[str]], None]]:
    """The rendered nginx on a free port, and how it is told of the pods."""
    deploy = Path(shutil.copytree(render() / "deploy", tmp_path / "deploy"))
    for name in ("tls.crt", "tls.key"):
        shutil.copy2(certificate / name, deploy / "tls")
    configuration = deploy / "nginx" / "nginx.conf"
    text = configuration.read_text(encoding="utf-8")
    port = free_port()
    for before, after in (
        ("/tmp/", f"{tmp_path}/"),
        ("/dev/stdout", f"{tmp_path}/access.log"),
        ("listen 8080", f"listen 127.0.0.1:{free_port()}"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
    ):
        assert before in text
        text = text.replace(before, after)
    configuration.write_text(text, encoding="utf-8")
    upstream = deploy / "nginx" / "upstream.conf"
    (line,) = [
        line for line in upstream.read_text(encoding="utf-8").splitlines() if line.startswith("server ")
    ]
    running: list[Any] = []

    def endpoints_changed(addresses: list[str]) -> None:
        lines = [line.replace("service:8000", address) for address in addresses]
        upstream.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if running:
            running[0].process.send_signal(signal.SIGHUP)
        else:
            user = " user root;" if os.geteuid() == 0 else ""
            running.append(start(tool("nginx"), "-c", configuration, "-g", f"daemon off;{user}"))
            running[0].wait_until((tmp_path / "nginx.pid").exists, "nginx runs")

    return port, endpoints_changed


@pytest.fixture
def deployment(
    manifests: list[dict[str, Any]],
    gateway: tuple[int, Callable[[list[str]], None]],
    start: Callable[..., Any],
    free_port: Callable[[], int],
) -> Any:
    """The Deployment of production; only ports differ, and the limit of requests is the gateway's."""

    def start_pod(release: Path, address: str, variables: dict[str, str]) -> Any:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
        sources = os.pathsep.join(str(release / folder) for folder in ("src", "chassis/src"))
        environment = kept | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"} | variables
        return start(sys.executable, "-m", "orders", cwd=release, env=environment).process

    variables = {
        "PORT": str(free_port()),
        "MANAGEMENT_PORT": str(free_port()),
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMITING_ENABLED": "false",
        "LOG_LEVEL": "warning",
    }
    return cluster.Deployment(manifests, start_pod, gateway[1], variables)


def release_of(service: Path, folder: Path) -> Path:
    """Another release of a service."""
    return Path(shutil.copytree(service, folder))


def verification(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate / "tls.crt"))


async def test_two_replicas_are_replaced_and_no_request_fails(
    *,
    deployment: Any,
    gateway: Any,
    certificate: Path,
    render: Callable[..., Path],
    tmp_path: Path,
    tell: Callable[[str], None],
) -> None:
    first = render()
    second = release_of(first, tmp_path / "second")
    await deployment.create(first)
    assert deployment.releases == [first, first]
    async with load.Load(gateway[0], verification(certificate), CLIENTS).running() as seen:
        await seen.reach(REQUESTS // 4)
        await deployment.roll_out(second)
        await seen.reach(REQUESTS)
    tell(f"Rollout under load: {seen.total} requests, {len(seen.failures)} failed, {seen.repeated} repeated")
    assert deployment.releases == [second, second]
    assert deployment.exit_codes == [0, 0]
    assert seen.failures == []
    assert seen.statuses.keys() == {200, 201}
    assert seen.total >= REQUESTS
    assert seen.repeated < seen.total / 1000


async def test_a_release_that_is_never_ready_is_taken_back_and_no_request_fails(
    deployment: Any, gateway: Any, certificate: Path, render: Callable[..., Path], tmp_path: Path
) -> None:
    first = render()
    broken = release_of(first, tmp_path / "broken")
    app = broken / "src" / "orders" / "app.py"
    text = app.read_text(encoding="utf-8")
    imports = text[: text.index("\n\ndef create_app")].replace(
        "from .items import router as items", "from chassis.health import HealthCheck"
    )
    app.write_text(imports + BROKEN, encoding="utf-8")
    await deployment.create(first)
    async with load.Load(gateway[0], verification(certificate), CLIENTS).running() as seen:
        await seen.reach(1000)
        with pytest.raises(cluster.RolledBackError):
            await deployment.roll_out(broken, deadline=DEADLINE)
        await seen.reach(seen.total + 1000)
    assert deployment.releases == [first, first]
    assert seen.failures == []
    assert seen.statuses.keys() == {200, 201}
