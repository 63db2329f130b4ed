"""The pipeline of GitLab: by its schema, by what its jobs need, and beside the one of GitHub."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

GATES = {"check", "test", "dependencies", "secrets"}
OUTWARD = {"publish", "contents", "sign", "staging", "staging-back", "production", "production-back"}
# https://docs.gitlab.com/ci/yaml: words that cannot name a job.
RESERVED = {
    "image",
    "services",
    "stages",
    "before_script",
    "after_script",
    "variables",
    "cache",
    "include",
    "pages",
}
KEYWORDS = {"workflow", "stages", "default", "variables"}


@pytest.fixture
def service(render_pipelines: Callable[..., Path], answers: dict[str, Any]) -> Path:
    return render_pipelines(ci="gitlab", **answers)


@pytest.fixture
def pipeline(service: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((service / ".gitlab" / "chassis.yml").read_text(encoding="utf-8"))
    return loaded


def jobs(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs with what they extend laid under them, as GitLab does."""
    found = {}
    for name, job in pipeline.items():
        if name not in KEYWORDS and not name.startswith("."):
            bases = job.get("extends", [])
            whole: dict[str, Any] = {}
            for base in [bases] if isinstance(bases, str) else bases:
                whole |= pipeline[base]
            found[name] = whole | job
    return found


def test_the_schema_allows_it(service: Path, check: Callable[..., str]) -> None:
    files = (service / ".gitlab-ci.yml", service / ".gitlab" / "chassis.yml")
    check("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *files)


def test_your_file_is_read_last_so_it_wins(service: Path) -> None:
    # "the last one in the list takes precedence": https://docs.gitlab.com/ci/yaml/includes
    pipeline = yaml.safe_load((service / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    assert pipeline.keys() == {"include"}
    assert [entry["local"] for entry in pipeline["include"]] == [".gitlab/chassis.yml", ".gitlab/service.yml"]
    assert pipeline["include"][1]["rules"] == [{"exists": [".gitlab/service.yml"]}]


def test_there_are_the_jobs_that_were_chosen(pipeline: dict[str, Any], answers: dict[str, Any]) -> None:
    outward = OUTWARD | {"build", "weaknesses"} if answers.get("deployment") != "none" else set()
    assert jobs(pipeline).keys() == GATES | {"standard"} | outward
    assert not RESERVED & jobs(pipeline).keys()


def test_every_change_is_checked_and_its_whole_history_searched(pipeline: dict[str, Any]) -> None:
    found = jobs(pipeline)
    gates = GATES | ({"build", "weaknesses"} & found.keys())
    assert {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'} in pipeline["workflow"]["rules"]
    assert [name for name in gates if {"rules", "allow_failure"} & found[name].keys()] == []
    assert found["secrets"]["variables"]["GIT_DEPTH"] == "0"
    assert found["secrets"]["script"][-1].startswith("gitleaks git ")


def test_every_stage_and_need_exists(pipeline: dict[str, Any]) -> None:
    found = jobs(pipeline)
    for name, job in found.items():
        assert job["stage"] in pipeline["stages"], name
        assert set(job.get("needs", [])) <= found.keys(), name


def test_what_reaches_outward_is_switched_on_and_never_for_a_merge_request(pipeline: dict[str, Any]) -> None:
    for name, job in jobs(pipeline).items():
        if name in OUTWARD:
            assert job["rules"], name
            for rule in job["rules"]:
                assert '$DELIVERY == "on"' in rule["if"], name
                assert (
                    "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"] or "$CI_COMMIT_TAG" in rule["if"]
                )
            assert job["interruptible"] is False, name


def test_an_image_goes_out_only_after_every_gate(pipeline: dict[str, Any]) -> None:
    found = jobs(pipeline)
    assert pipeline["stages"][0] == "test"
    assert {name for name, job in found.items() if job["stage"] == "test"} >= GATES
    if "publish" not in found:
        return
    assert {found[name]["stage"] for name in ("build", "weaknesses")} == {"test"}
    # without `needs` a job waits for every job of the stages before
    assert (found["publish"]["stage"], "needs" in found["publish"]) == ("publish", False)
    assert pipeline["stages"].index("publish") == 1
    assert (found["contents"]["needs"], set(found["sign"]["needs"])) == (["publish"], {"publish", "contents"})


def test_main_goes_to_staging_and_a_tag_to_production(pipeline: dict[str, Any]) -> None:
    found = jobs(pipeline)
    for name, where in (
        ("staging", "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"),
        ("production", "$CI_COMMIT_TAG =~ /^v/"),
    ):
        for job in (name, f"{name}-back"):
            if job in found:
                (rule,) = found[job]["rules"]
                assert rule["if"].startswith(f'$DELIVERY == "on" && {where}'), job


def test_each_job_has_a_limit_of_time(pipeline: dict[str, Any]) -> None:
    assert pipeline["default"]["timeout"] == "15 minutes"


def test_coverage_has_a_minimum_that_a_variable_sets(pipeline: dict[str, Any]) -> None:
    assert pipeline["variables"]["COVERAGE_MINIMUM"] == "80"
    assert any(line.endswith('--fail-under="$COVERAGE_MINIMUM"') for line in pipeline["test"]["script"])


def test_the_whole_history_is_searched_for_secrets(pipeline: dict[str, Any]) -> None:
    assert pipeline["secrets"]["variables"]["GIT_DEPTH"] == "0"
    assert any(line.startswith("gitleaks git ") for line in pipeline["secrets"]["script"])


def test_the_image_is_built_in_an_engine_of_its_own_and_scanned_before_and_after(
    pipeline: dict[str, Any],
) -> None:
    found = jobs(pipeline)
    engines = {name for name, job in found.items() if "-dind@" in str(job.get("services", ""))}
    scanning = {
        name
        for name, job in found.items()
        if "trivy image --config deploy/ci/trivy.yaml" in str(job["script"])
    }
    outward = "publish" in found
    assert engines == ({"build", "publish"} if outward else set())
    assert scanning == ({"weaknesses", "contents"} if outward else set())


def test_a_rollout_gets_what_is_set_for_its_environment(
    pipeline: dict[str, Any], answers: dict[str, Any]
) -> None:
    found = jobs(pipeline)
    if "staging" not in found:
        return
    variables = found["staging"].get("variables", {})
    compose = answers.get("deployment") == "compose"
    assert variables == ({"DOCKER_HOST": "$DEPLOY_HOST"} if compose else {})
    assert found["sign"]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}


def test_a_rollout_waits_for_its_turn_and_has_a_way_back(pipeline: dict[str, Any]) -> None:
    for name, job in jobs(pipeline).items():
        if "environment" in job:
            environment = job["environment"]["name"]
            assert job["resource_group"] == environment
            assert set(job["needs"]) == {"publish", "sign"}
            back = name.endswith("-back")
            assert (job["rules"][0].get("when") == "manual") is back
            assert (job.get("variables", {}).get("IMAGE") == "--back") is back


def test_images_are_named_by_digest_or_exact_version(service: Path) -> None:
    text = (service / ".gitlab" / "chassis.yml").read_text(encoding="utf-8")
    images = re.findall(r"(?:image|- name|    name): (\S+:\S+)", text)
    assert len(images) >= 2
    loose = [image for image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)]
    assert [
        image for image in loose if not re.fullmatch(r"(python|alpine/k8s):\d+\.\d+\.\d+(-bookworm)?", image)
    ] == []


def test_both_pipelines_run_the_same_programs_in_the_same_version(
    render_pipelines: Callable[..., Path], answers: dict[str, Any], service: Path
) -> None:
    github = render_pipelines(ci="github", **answers)
    texts = [
        (github / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"),
        (service / ".gitlab" / "chassis.yml").read_text(encoding="utf-8"),
    ]
    for pattern in (
        r'UV_VERSION: "(.+)"',
        r"(coverage==[\d.]+)",
        r"(cyclonedx-bom==[\d.]+)",
        r"(gitleaks:v\S+)",
        r"(trivy:\S+)",
        r"(deploy/ci/\w+\.\w+)",
        r"(uv lock --check|uv audit .+|make check)",
    ):
        one, two = (set(re.findall(pattern, text)) for text in texts)
        assert one == two, pattern


def test_the_image_and_the_pipelines_use_one_uv(render_pipelines: Callable[..., Path]) -> None:
    folder = render_pipelines(ci="github")
    dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
    workflow = (folder / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"astral-sh/uv:([\d.]+)", dockerfile) == re.findall(r'UV_VERSION: "([\d.]+)"', workflow)
