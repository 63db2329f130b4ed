"""The Compose file by itself: under its schema, Compose's own reader, and against the settings."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.service_settings import ServiceSettings
from chassis.settings import load

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

ANSWER_SETS: dict[str, dict[str, Any]] = {
    "default": {},
    "database": {"bundles": ["database"], "port": 65535},
    "other": {"service_slug": "no", "image_registry": "localhost:5000/team/shop"},
}


@pytest.fixture(params=ANSWER_SETS)
def service(request: pytest.FixtureRequest, render: Callable[..., Path]) -> Path:
    return render(deployment="compose", **ANSWER_SETS[request.param])


@pytest.fixture
def resolved(service: Path, compose: Callable[..., str]) -> dict[str, Any]:
    """The file as Compose understands it, every variable unset."""
    found: dict[str, Any] = yaml.safe_load(compose(service, "config"))
    return found


def test_the_schema_of_compose_accepts_it(service: Path, check: Callable[..., str]) -> None:
    files = (service / "compose.yaml", service / "compose.override.yaml")
    assert "ok" in check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files)


def test_the_default_is_small_and_all_is_the_whole_picture(service: Path, resolved: dict[str, Any]) -> None:
    profiles = {name: set(entry.get("profiles", [])) for name, entry in resolved["services"].items()}
    always = {name for name, chosen in profiles.items() if not chosen}
    needed = {"service", "migration", "postgres"} if (service / "migrations").exists() else {"service"}
    assert always == needed
    everything = always | {name for name, chosen in profiles.items() if "all" in chosen}
    assert everything >= {
        "redis",
        "prometheus",
        "alertmanager",
        "grafana",
        "collector",
        "jaeger",
        "loki",
        "gateway",
    }
    assert profiles.keys() - everything == {"gateway-envoy"}


def test_every_foreign_image_is_an_exact_version(service: Path, resolved: dict[str, Any]) -> None:
    own = resolved["services"]["service"]["image"]
    images = {entry["image"] for entry in resolved["services"].values()} - {own}
    assert [image for image in images if not re.search(r":[a-z-]*v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", image)] == []


def test_logs_are_rotated_and_carry_the_tag_that_the_collector_reads(
    service: Path, resolved: dict[str, Any]
) -> None:
    slug = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))["service_slug"]
    for entry in resolved["services"].values():
        assert entry["logging"]["driver"] == "json-file"
        assert entry["logging"]["options"] == {"max-size": "10m", "max-file": "3", "tag": slug}
    collector = (service / "deploy" / "otel" / "collector.yaml").read_text(encoding="utf-8")
    assert f'tag != "{slug}"' in collector


def test_only_a_gateway_listens_beyond_this_machine(resolved: dict[str, Any]) -> None:
    for name, entry in resolved["services"].items():
        if not name.startswith("gateway"):
            assert [port for port in entry.get("ports", []) if not str(port).startswith("127.0.0.1:")] == []


def test_every_mounted_file_exists(service: Path, resolved: dict[str, Any]) -> None:
    named = set(resolved["volumes"])
    for name, entry in resolved["services"].items():
        for volume in entry.get("volumes", []):
            source = str(volume).split(":")[0]
            if source.startswith(str(service)):
                assert Path(source).exists(), name
            elif not source.startswith("/"):
                assert source in named, name


def test_starts_are_gated_by_health_where_an_image_can_tell_it(resolved: dict[str, Any]) -> None:
    services = resolved["services"]
    # The service's own health check is in its image.
    checked = {name for name, entry in services.items() if "healthcheck" in entry} | {"service"}
    for entry in services.values():
        for other, wanted in entry.get("depends_on", {}).items():
            expected = "service_healthy" if other in checked else "service_started"
            expected = "service_completed_successfully" if other == "migration" else expected
            assert wanted["condition"] == expected


def test_a_stop_has_the_time_that_the_settings_give_it(resolved: dict[str, Any]) -> None:
    entry = resolved["services"]["service"]
    settings = load(ServiceSettings, environ=entry["environment"], directory=Path("/nonexistent"))
    grace = re.fullmatch(r"(\d+)s", entry["stop_grace_period"])
    assert grace is not None
    assert settings.lifecycle.longest_stop("production") < int(grace[1])
    assert settings.security.trusted_proxies


def test_prometheus_keeps_more_than_the_longest_window_of_a_rule_or_dashboard(
    service: Path, resolved: dict[str, Any]
) -> None:
    days = {"m": 1 / 1440, "h": 1 / 24, "d": 1}
    command = " ".join(resolved["services"]["prometheus"]["command"])
    kept = re.search(r"--storage\.tsdb\.retention\.time=(\d+)d\b", command)
    assert kept is not None
    files = [
        path for folder in ("prometheus", "grafana") for path in (service / "deploy" / folder).rglob("*.*")
    ]
    windows = [
        int(number) * days[unit]
        for path in files
        if path.is_file()
        for number, unit in re.findall(r"\[(\d+)([mhd])\]", path.read_text(encoding="utf-8"))
    ]
    assert max(windows) == 30
    assert int(kept[1]) > max(windows)


def test_our_containers_are_confined(resolved: dict[str, Any]) -> None:
    for name, entry in resolved["services"].items():
        assert "no-new-privileges:true" in entry["security_opt"], name
        if name not in {"postgres", "redis"}:
            assert entry["read_only"] is True, name
            assert entry["cap_drop"] == ["ALL"], name


def test_the_owners_file_is_merged(render: Callable[..., Path], compose: Callable[..., str]) -> None:
    service = render(fresh=True, deployment="compose")
    override = service / "compose.override.yaml"
    text = override.read_text(encoding="utf-8")
    override.write_text(
        text.replace("environment: {}", "environment: {PAYMENTS_URL: here}"), encoding="utf-8"
    )
    environment = yaml.safe_load(compose(service, "config"))["services"]["service"]["environment"]
    assert environment["PAYMENTS_URL"] == "here"
    assert environment["LOG_FORMAT"] == "json"
