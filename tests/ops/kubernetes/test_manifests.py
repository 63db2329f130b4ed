"""Every overlay of several answer sets, as kubectl builds it: under checkers, and against the settings."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.health import HealthSettings
from chassis.service_settings import ServiceSettings
from chassis.settings import load

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

Manifest = dict[str, Any]

ANSWER_SETS: dict[str, dict[str, Any]] = {
    "default": {},
    "database": {"bundles": ["database"]},
    "longest": {"service_slug": "x" * 40, "bundles": ["database"], "port": 65535},
    "shortest": {"service_slug": "a", "image_registry": "localhost:5000/team/shop"},
    "yaml-word": {
        "service_slug": "no",
        "team": "'Payments': {a: b} #1 {{ x }}",
        "description": """It's "100 % $HOME `id`" \\ {{ x }} #% z: [a, b] & <b> | é 🚀 ${A} $(B)""",
    },
}
OVERLAYS = ("dev", "staging", "production")
# Kinds that operators bring. kubernetes-validate has no schema of them.
OPERATORS = {"ExternalSecret", "PrometheusRule", "ServiceMonitor"}


@pytest.fixture(scope="session")
def build(render: Callable[..., Path], check: Callable[..., str]) -> Callable[[str, str], list[Manifest]]:
    """The objects of an overlay of an answer set."""
    done: dict[tuple[str, str], list[Manifest]] = {}

    def built(answers: str, overlay: str) -> list[Manifest]:
        if (answers, overlay) not in done:
            service = render(**ANSWER_SETS[answers])
            text = check("kubectl", "kustomize", service / "deploy" / "kubernetes" / "overlays" / overlay)
            done[answers, overlay] = list(yaml.safe_load_all(text))
        return done[answers, overlay]

    return built


@pytest.fixture(params=[f"{answers}-{overlay}" for answers in ANSWER_SETS for overlay in OVERLAYS])
def built(
    request: pytest.FixtureRequest, build: Callable[[str, str], list[Manifest]]
) -> tuple[str, str, list[Manifest]]:
    answers, _, overlay = request.param.rpartition("-")
    return answers, overlay, build(answers, overlay)


def of(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The only object of a kind."""
    (found,) = of(manifests, kind)
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every template of a pod, with the kind of its owner."""
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            yield manifest["kind"], manifest["spec"]["template"]


def settings_of(manifests: list[Manifest]) -> ServiceSettings:
    """What the pods' ConfigMap makes of the settings."""
    variables = one(manifests, "ConfigMap")["data"]
    return load(ServiceSettings, environ=variables, directory=Path("/nonexistent"))


def test_kubernetes_accepts_every_object(
    built: tuple[str, str, list[Manifest]], check: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(built[2]), encoding="utf-8")
    said = check("kubernetes-validate", "--strict", file)
    unknown = set(re.findall(r"Couldn't find schema for kind (\w+)", said))
    assert unknown <= OPERATORS
    assert "did not validate" not in said


def test_trivy_finds_nothing_high(
    build: Callable[[str, str], list[Manifest]], check: Callable[..., str], tmp_path: Path
) -> None:
    names = [(answers, overlay) for answers in ANSWER_SETS for overlay in OVERLAYS]
    for answers, overlay in names:
        file = tmp_path / f"{answers}-{overlay}.yaml"
        file.write_text(yaml.safe_dump_all(build(answers, overlay)), encoding="utf-8")
    offline = ("--skip-check-update", "--skip-version-check", "--quiet")
    report = json.loads(check("trivy", "config", *offline, "--format", "json", tmp_path))
    scanned = {result["Target"]: result["MisconfSummary"]["Successes"] for result in report["Results"]}
    assert scanned.keys() == {f"{answers}-{overlay}.yaml" for answers, overlay in names}
    assert min(scanned.values()) > 50
    found = [
        (result["Target"], finding["ID"], finding["Message"])
        for result in report["Results"]
        for finding in result.get("Misconfigurations", [])
        if finding["Severity"] in {"HIGH", "CRITICAL"}
    ]
    assert found == []


def test_every_name_and_label_is_valid(built: tuple[str, str, list[Manifest]]) -> None:
    label = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
    for manifest in built[2]:
        metadata = manifest["metadata"]
        # Pods get another 17 characters, and none of their labels may be longer than 63.
        longest = {"Deployment": 46, "Job": 57}.get(manifest["kind"], 63)
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", metadata["name"])
        assert len(metadata["name"]) <= longest
        values = [*metadata.get("labels", {}).values()]
        values += manifest.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {}).values()
        assert [value for value in values if not label.fullmatch(value)] == []
        assert all(isinstance(value, str) for value in metadata.get("annotations", {}).values())


def test_everything_lives_in_the_namespace_that_admits_restricted_pods_only(
    built: tuple[str, str, list[Manifest]],
) -> None:
    namespace = one(built[2], "Namespace")["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = {
        manifest["metadata"].get("namespace") for manifest in built[2] if manifest["kind"] != "Namespace"
    }
    assert others == {namespace["name"]}


def test_pods_are_restricted(built: tuple[str, str, list[Manifest]]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards, and a root file system that is read-only
    for _, template in pods(built[2]):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all("emptyDir" in volume for volume in spec["volumes"])
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
    assert one(built[2], "ServiceAccount")["automountServiceAccountToken"] is False


def test_a_stop_has_the_time_that_the_settings_give_it(built: tuple[str, str, list[Manifest]]) -> None:
    settings = settings_of(built[2])
    spec = one(built[2], "Deployment")["spec"]["template"]["spec"]
    before_signal = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = before_signal + settings.lifecycle.longest_stop(settings.environment)
    assert needed < spec["terminationGracePeriodSeconds"]
    probe = spec["containers"][0]["readinessProbe"]
    drain = settings.lifecycle.delay(settings.environment)
    # The endpoint is gone when the deletion is known; the failing readiness is a second way to learn of it.
    assert before_signal + drain >= probe["periodSeconds"] * probe["failureThreshold"]


def test_probes_ask_the_right_endpoints_and_wait_for_the_slowest_check(
    built: tuple[str, str, list[Manifest]],
) -> None:
    (container,) = one(built[2], "Deployment")["spec"]["template"]["spec"]["containers"]
    probes = {
        name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {
        "startupProbe": {"path": "/health/live", "port": "http"},
        "livenessProbe": {"path": "/health/live", "port": "http"},
        "readinessProbe": {"path": "/health/ready", "port": "http"},
    }
    assert all(container[name]["timeoutSeconds"] > HealthSettings().timeout for name in probes)


def test_a_rollout_takes_no_pod_away_before_another_is_ready(
    built: tuple[str, str, list[Manifest]],
) -> None:
    spec = one(built[2], "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0
    assert "replicas" not in spec, "the autoscaler decides"
    scaler = one(built[2], "HorizontalPodAutoscaler")["spec"]
    assert scaler["minReplicas"] >= (1 if built[1] == "dev" else 2)
    assert scaler["scaleTargetRef"]["name"] == one(built[2], "Deployment")["metadata"]["name"]
    assert one(built[2], "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_selectors_choose_the_serving_pods_and_no_others(built: tuple[str, str, list[Manifest]]) -> None:
    manifests = built[2]
    selectors = [service["spec"]["selector"] for service in of(manifests, "Service")]
    selectors += [
        one(manifests, kind)["spec"]["selector"]["matchLabels"]
        for kind in ("Deployment", "PodDisruptionBudget")
    ]
    spread = one(manifests, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    selectors += [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    for kind, template in pods(manifests):
        labels = template["metadata"]["labels"]
        for selector in selectors:
            assert (selector.items() <= labels.items()) is (kind == "Deployment")


def test_the_management_port_is_reached_by_prometheus_alone(built: tuple[str, str, list[Manifest]]) -> None:
    manifests = built[2]
    port = settings_of(manifests).server.management_port
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["management"] == port
    for rule in one(manifests, "Ingress")["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            target = path["backend"]["service"]
            (service,) = (s for s in of(manifests, "Service") if s["metadata"]["name"] == target["name"])
            assert [entry["targetPort"] for entry in service["spec"]["ports"]] == ["http"]
            assert target["port"] == {"name": "http"}
    deny, allow = sorted(of(manifests, "NetworkPolicy"), key=lambda policy: "ingress" in policy["spec"])
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ways = {rule["ports"][0]["port"]: rule["from"] for rule in allow["spec"]["ingress"]}
    assert ways.keys() == {"http", "management"}
    assert ways["management"] != ways["http"]
    for _, template in pods(manifests):
        assert allow["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_settings_load_where_they_run(built: tuple[str, str, list[Manifest]]) -> None:
    settings = settings_of(built[2])
    assert settings.environment == {"dev": "development"}.get(built[1], built[1])
    assert settings.logging.format == "json"
    (container,) = one(built[2], "Deployment")["spec"]["template"]["spec"]["containers"]
    config, secret = (source for entry in container["envFrom"] for source in entry.values())
    assert config["name"] == one(built[2], "ConfigMap")["metadata"]["name"]
    slug = one(built[2], "Deployment")["metadata"]["name"]
    assert secret["name"] == slug
    if built[1] != "dev":
        assert one(built[2], "ExternalSecret")["spec"]["target"]["name"] == slug
        assert settings.security.trusted_proxies, "the ingress controller's X-Forwarded-For counts"


def test_a_changed_setting_renames_the_configmap(
    render: Callable[..., Path], check: Callable[..., str], tmp_path: Path
) -> None:
    folder = render(fresh=True) / "deploy" / "kubernetes" / "overlays" / "staging"

    def name() -> str:
        objects = list(yaml.safe_load_all(check("kubectl", "kustomize", folder)))
        return str(one(objects, "ConfigMap")["metadata"]["name"])

    before = name()
    file = folder / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("ENVIRONMENT=staging", "ENVIRONMENT=staging\n      - LOG_LEVEL=debug"), encoding="utf-8"
    )
    assert name() != before


def test_the_migration_runs_the_same_image_with_the_same_settings(
    build: Callable[[str, str], list[Manifest]],
) -> None:
    for overlay in ("staging", "production"):
        manifests = build("database", overlay)
        templates = dict(pods(manifests))
        job, service = (templates[kind]["spec"]["containers"][0] for kind in ("Job", "Deployment"))
        assert job["image"] == service["image"]
        assert job["envFrom"] == service["envFrom"]
        assert job["command"] == ["python", "-m", "chassis.bundles.database", "upgrade"]
    assert of(build("default", "production"), "Job") == []
    assert of(build("database", "dev"), "Job") == []


@pytest.mark.parametrize("answers", ANSWER_SETS)
def test_the_rules_are_those_of_prometheus(
    answers: str, render: Callable[..., Path], check: Callable[..., str]
) -> None:
    service = render(**ANSWER_SETS[answers])
    folder = service / "deploy" / "prometheus" / "rules"
    slug = ANSWER_SETS[answers].get("service_slug", "orders")
    # As texts: for Go, which reads them, a label `no` is a word.
    written = {
        f"{slug}-{file.stem}": yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)
        for file in folder.glob("*.yml")
    }
    for overlay in ("staging", "production"):
        text = check("kubectl", "kustomize", service / "deploy" / "kubernetes" / "overlays" / overlay)
        objects = list(yaml.load_all(text, yaml.BaseLoader))
        generated = {rule["metadata"]["name"]: rule["spec"] for rule in of(objects, "PrometheusRule")}
        assert generated == written


def test_development_needs_no_operator(build: Callable[[str, str], list[Manifest]]) -> None:
    for answers in ANSWER_SETS:
        assert not OPERATORS & {manifest["kind"] for manifest in build(answers, "dev")}


def test_prometheus_scrapes_the_port_that_the_monitor_names(
    build: Callable[[str, str], list[Manifest]],
) -> None:
    manifests = build("default", "production")
    monitor = one(manifests, "ServiceMonitor")["spec"]
    (service,) = (
        service
        for service in of(manifests, "Service")
        if monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert [port["name"] for port in service["spec"]["ports"]] == [monitor["endpoints"][0]["port"]]
    # The rules select by job, and the job is the service's name.
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "orders"
