"""What surrounds a service on its machines holds what docs/how-to/deploy.md and observe.md say of it."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.cli.update.ownership import Owner, Ownership
from chassis.service_settings import ServiceSettings
from chassis.settings import load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "how-to"
OWNERSHIP = Ownership.read(ROOT / "template")
WHOSE = {"template": Owner.TEMPLATE, "the template": Owner.TEMPLATE, "yours": Owner.SERVICE}
# Writes down how it was called; uv also makes the lock.
PLAYED = """\
#!/bin/sh
echo "${0##*/} $*" >> "$PLAYED"
if [ "$1" = lock ]; then touch uv.lock; fi
"""

Render = Callable[..., Path]


@pytest.fixture(scope="module")
def kubernetes(render: Render) -> Path:
    return render(library=False, service_name="Orders", bundles=["database"])


@pytest.fixture(scope="module")
def without_database(render: Render) -> Path:
    return render(library=False, service_name="Orders")


@pytest.fixture(scope="module")
def compose(render: Render) -> Path:
    return render(library=False, service_name="Orders", bundles=["database"], deployment="compose")


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def resources(folder: Path) -> list[dict[str, Any]]:
    """The objects that a kustomization names, without those of other kustomizations."""
    files = [folder / name for name in read(folder / "kustomization.yaml")["resources"]]
    return [
        one
        for file in files
        if file.is_file()
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]


def settings_in(kustomization: dict[str, Any]) -> dict[str, str]:
    """The variables of the ConfigMap of a kustomization."""
    (generator,) = kustomization["configMapGenerator"]
    return dict(line.split("=", 1) for line in generator["literals"])


# --- Whose each file is ---


def tables() -> Iterator[tuple[str, str]]:
    """Each path of the tables of both pages, and whose they say it is."""
    for page, folder in (("observe.md", ""), ("deploy.md", "deploy/kubernetes/")):
        text = (DOCS / page).read_text(encoding="utf-8")
        for paths, whose in re.findall(
            r"^\| (`[^|]+`) \| (template|the template|yours) \|", text, re.MULTILINE
        ):
            parent = "overlays/" if paths.startswith("`overlays/dev") else ""
            for path in re.findall(r"`([^`]+)`", paths):
                yield f"{folder}{path if path.startswith(parent) else parent + path}", whose


@pytest.mark.parametrize(("path", "whose"), list(tables()))
def test_a_path_of_the_documentation_is_there_and_belongs_to_whom_it_says(
    path: str, whose: str, kubernetes: Path
) -> None:
    place = kubernetes / path
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    assert files
    assert all(file.is_file() for file in files)
    owners = {
        file.relative_to(kubernetes).as_posix(): OWNERSHIP.owner(file.relative_to(kubernetes).as_posix())
        for file in files
    }
    assert {name for name, owner in owners.items() if owner is not WHOSE[whose]} <= {
        "docs/runbooks/service.md"
    }


def test_the_tables_are_read() -> None:
    assert len(list(tables())) == 20


# --- The image ---


def test_make_locks_first_and_builds_what_was_named(without_database: Path, tmp_path: Path) -> None:
    for name in ("uv", "docker"):
        (tmp_path / name).write_text(PLAYED, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}", "PLAYED": str(tmp_path / "calls")}

    def make(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *words],
            cwd=without_database,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )

    refused = make("image")
    assert refused.returncode == 2
    assert "Write it with: make lock" in refused.stdout
    assert not (tmp_path / "calls").exists()
    try:
        done = make("lock", "image", "TAG=1.2.3")
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        (without_database / "uv.lock").unlink(missing_ok=True)
    locked, built = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert locked.startswith("uv lock")
    assert built == "docker build --tag registry.example.com/orders:1.2.3 ."


def test_make_passes_an_answer_on_to_the_update(without_database: Path) -> None:
    arguments = "--data bundles=[database]"
    command = ["make", "--dry-run", "update", f"ARGS={arguments}"]
    done = subprocess.run(command, cwd=without_database, check=True, capture_output=True, text=True)
    assert re.search(rf"chassis update +{re.escape(arguments)}$", done.stdout, re.MULTILINE)


def test_what_surrounds_a_service_comes_with_a_deployment(
    compose: Path, kubernetes: Path, render: Render
) -> None:
    elsewhere = render(library=False, deployment="none", bundles=["database"])
    brought = ("Dockerfile", "deploy/prometheus/rules/chassis.yml", "deploy/alertmanager/alertmanager.yml")
    brought += (
        "deploy/grafana/dashboards/chassis/service.json",
        "deploy/otel/collector.yaml",
        "deploy/ci/rollout.sh",
    )
    for service in (compose, kubernetes):
        assert [path for path in brought if not (service / path).is_file()] == []
    assert not (elsewhere / "Dockerfile").exists()
    assert not (elsewhere / "deploy").exists()
    for path, service in (("compose.yaml", compose), ("deploy/kubernetes", kubernetes)):
        assert [(one / path).exists() for one in (compose, kubernetes)] == [
            one is service for one in (compose, kubernetes)
        ]


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers a health check, and remembers what was asked."""

    asked: list[str]
    status: int

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_asks_for_readiness_with_python(
    without_database: Path, status: int, code: int
) -> None:
    text = (without_database / "Dockerfile").read_text(encoding="utf-8")
    (check,) = re.findall(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", text, re.MULTILINE)
    program, *arguments = json.loads(check)
    assert program == "python"
    handler = type("Handler", (Ready,), {"asked": [], "status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            done = subprocess.run(
                [sys.executable, *arguments], env={"PORT": str(server.server_port)}, check=False
            )
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == code
    assert handler.asked == ["/health/ready"]


def test_whatever_uv_fetches_may_take_its_password_from_the_secret(without_database: Path) -> None:
    text = re.sub(r"\\\n", " ", (without_database / "Dockerfile").read_text(encoding="utf-8"))
    fetching = [
        line for line in text.splitlines() if line.startswith("RUN") and re.search(r"\buv (sync|pip)", line)
    ]
    assert len(fetching) == 2
    assert all("--mount=type=secret,id=netrc,target=/root/.netrc" in line for line in fetching)
    assert "uv sync --locked" in text


# --- Compose ---

# What `docker compose up` starts with a profile, and where each can be reached.
PROFILES: dict[str, dict[str, list[str]]] = {
    "none": {"service": ["127.0.0.1:8000"], "migration": [], "postgres": []},
    "monitoring": {
        "prometheus": ["127.0.0.1:9090"],
        "alertmanager": ["127.0.0.1:9093"],
        "grafana": ["127.0.0.1:3000"],
    },
    "telemetry": {"collector": [], "jaeger": ["127.0.0.1:16686"], "loki": []},
    "redis": {"redis": []},
    "gateway": {"gateway": ["80", "443"]},
    "gateway-envoy": {"gateway-envoy": ["80", "443"]},
}
PROGRAMS = {
    "postgres": "postgres",
    "prometheus": "prom/prometheus",
    "alertmanager": "prom/alertmanager",
    "grafana": "grafana/grafana",
    "collector": "otel/opentelemetry-collector-contrib",
    "jaeger": "jaegertracing/jaeger",
    "loki": "grafana/loki",
    "redis": "redis",
    "gateway": "nginxinc/nginx-unprivileged",
    "gateway-envoy": "envoyproxy/envoy",
}


def test_every_profile_starts_what_the_documentation_says_where_it_says(compose: Path) -> None:
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (compose / "compose.yaml").read_text(encoding="utf-8"))
    services = yaml.safe_load(text)["services"]
    found: dict[str, dict[str, list[str]]] = {}
    for name, entry in services.items():
        (profile,) = set(entry.get("profiles", ["none"])) - {"all"}
        found.setdefault(profile, {})[name] = [port.rpartition(":")[0] for port in entry.get("ports", [])]
    assert found == PROFILES
    assert {name: services[name]["image"].partition(":")[0] for name in PROGRAMS} == PROGRAMS


def test_a_stop_by_compose_gives_45_seconds(compose: Path) -> None:
    assert read(compose / "compose.yaml")["services"]["service"]["stop_grace_period"] == "45s"


def test_the_collector_is_started_with_the_file_of_the_owner_after_its_own(compose: Path) -> None:
    collector = read(compose / "compose.yaml")["services"]["collector"]
    assert collector["command"] == ["--config=/etc/otel/collector.yaml", "--config=/etc/otel/service.yaml"]
    assert "./deploy/otel:/etc/otel:ro" in collector["volumes"]


@pytest.mark.parametrize(
    ("variable", "reaches"),
    [
        ("POSTGRES_PASSWORD", {"service", "migration", "postgres"}),
        ("GRAFANA_PASSWORD", {"grafana"}),
        ("ENVIRONMENT", {"service", "prometheus"}),
        ("OTEL_ENABLED", {"service"}),
    ],
)
def test_what_stands_in_the_env_file_reaches_what_needs_it(
    compose: Path, variable: str, reaches: set[str]
) -> None:
    services = read(compose / "compose.yaml")["services"]
    told = {
        name
        for name, entry in services.items()
        if f"${{{variable}:-" in json.dumps(entry.get("environment", {}))
    }
    assert told == reaches


# --- Kubernetes ---


def test_the_base_holds_what_the_documentation_lists(kubernetes: Path, without_database: Path) -> None:
    kinds = [
        *("Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "NetworkPolicy"),
        *("PodDisruptionBudget", "Service", "Service", "ServiceAccount"),
    ]
    for service, more in ((without_database, []), (kubernetes, ["Job"])):
        folder = service / "deploy" / "kubernetes" / "base"
        assert sorted(one["kind"] for one in resources(folder)) == sorted([*kinds, *more])
        assert settings_in(read(folder / "kustomization.yaml"))


def test_components_and_overlays_hold_what_the_documentation_lists(kubernetes: Path) -> None:
    folder = kubernetes / "deploy" / "kubernetes"
    monitoring = resources(folder / "components" / "monitoring")
    assert {one["kind"] for one in monitoring} == {"PrometheusRule", "ServiceMonitor"}
    rules = {file.stem for file in (kubernetes / "deploy/prometheus/rules").glob("*.yml")} - {"service"}
    assert {one["metadata"]["name"] for one in monitoring if one["kind"] == "PrometheusRule"} == {
        f"orders-{name}" for name in rules
    }
    (secret,) = resources(folder / "components" / "secrets")
    assert (secret["kind"], secret["apiVersion"]) == ("ExternalSecret", "external-secrets.io/v1")
    (own,) = resources(folder / "overlays" / "monitoring")
    written = read(kubernetes / "deploy/prometheus/rules/service.yml")
    assert (own["kind"], own["spec"]) == ("PrometheusRule", written)
    for overlay in ("dev", "staging", "production"):
        kustomization = read(folder / "overlays" / overlay / "kustomization.yaml")
        assert kustomization["namespace"] == f"orders-{overlay}"
        assert kustomization["images"][0]["name"] == "registry.example.com/orders"
        assert settings_in(kustomization)["ENVIRONMENT"] in {"development", overlay}
        assert kustomization["patches"]


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_an_overlay_holds_what_is_to_be_looked_through(overlay: str, kubernetes: Path) -> None:
    kustomization = read(kubernetes / "deploy/kubernetes/overlays" / overlay / "kustomization.yaml")
    patched = {
        operation["path"]: operation["value"]
        for patch in kustomization["patches"]
        for operation in yaml.safe_load(patch["patch"])
    }
    assert patched["/spec/rules/0/host"].startswith("orders.")
    assert patched["/spec/ingressClassName"] == "nginx"
    assert patched["/spec/secretStoreRef/name"] == "secrets"
    assert patched["/spec/dataFrom/0/extract/key"] == f"orders/{overlay}"
    assert settings_in(kustomization)["TRUSTED_PROXIES"] == "10.0.0.0/8"
    assert kustomization["components"] == [
        "../../components/secrets",
        "../../components/monitoring",
        "../monitoring",
    ]


def test_development_is_one_pod_and_a_database_in_its_folder(
    kubernetes: Path, without_database: Path
) -> None:
    settings = {}
    for service in (kubernetes, without_database):
        kustomization = read(service / "deploy/kubernetes/overlays/dev/kustomization.yaml")
        (scaler,) = (
            patch["patch"]
            for patch in kustomization["patches"]
            if patch["target"]["kind"] == "HorizontalPodAutoscaler"
        )
        assert {one["path"]: one["value"] for one in yaml.safe_load(scaler)} == {
            "/spec/minReplicas": 1,
            "/spec/maxReplicas": 1,
        }
        assert "components" not in kustomization
        settings[service] = settings_in(kustomization)
    assert settings[kubernetes]["DATABASE_URL"] == "sqlite:////tmp/service.db"
    assert "DATABASE_URL" not in settings[without_database]


def test_what_development_lacks_when_the_database_comes_later_is_one_line_and_two_patches(
    kubernetes: Path, without_database: Path
) -> None:
    now, then = (
        read(service / "deploy/kubernetes/overlays/dev/kustomization.yaml")
        for service in (kubernetes, without_database)
    )
    assert settings_in(now).keys() - settings_in(then).keys() == {"DATABASE_URL"}
    more = [patch for patch in now["patches"] if patch not in then["patches"]]
    assert [patch["target"]["kind"] for patch in more] == ["Job", "Deployment"]
    for settings in (now, then):
        del settings["configMapGenerator"], settings["patches"]
    assert now == then


def test_only_a_database_makes_the_secret_required(kubernetes: Path, without_database: Path) -> None:
    optional = {}
    for service in (kubernetes, without_database):
        pod = read(service / "deploy/kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
        (secret,) = (one["secretRef"] for one in pod["containers"][0]["envFrom"] if "secretRef" in one)
        optional[service] = secret.get("optional", False)
    assert optional == {kubernetes: False, without_database: True}


def test_requests_come_from_the_ingress_controller_and_scrapes_from_monitoring(kubernetes: Path) -> None:
    policy = read(kubernetes / "deploy/kubernetes/base/network-policy.yaml")["spec"]
    namespaces = {
        rule["ports"][0]["port"]: [
            source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for source in rule["from"]
        ]
        for rule in policy["ingress"]
    }
    assert namespaces == {"http": ["ingress-nginx"], "management": ["monitoring"]}


def test_the_times_of_a_stop_are_those_of_the_documentation(kubernetes: Path) -> None:
    base = kubernetes / "deploy/kubernetes/base"
    pod = read(base / "deployment.yaml")["spec"]["template"]["spec"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    variables = settings_in(read(base / "kustomization.yaml"))
    times = ("DRAIN_DELAY", "SHUTDOWN_TIMEOUT", "CLOSE_TIMEOUT")
    assert {name: variables[name] for name in times} == dict(zip(times, ("5", "20", "5"), strict=True))
    settings = load(ServiceSettings, environ=variables, directory=Path("/nonexistent"))
    assert before == 5
    assert before + settings.lifecycle.longest_stop("production") == 45
    assert pod["terminationGracePeriodSeconds"] == 60
