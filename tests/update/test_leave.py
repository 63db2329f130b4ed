"""A service that leaves the template by docs/how-to/leave.md runs on, and nothing in it speaks of the template."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from promises import failed_tests
from releases import ROOT, Releases, commit, git
from services import copy_of
from typer.testing import CliRunner

from chassis.cli.update.command import app as update_app
from chassis.project import find_service

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

GUIDE = (ROOT / "docs/how-to/leave.md").read_text(encoding="utf-8")
NOTES = 'note: "Yours: hello"\nmerged: "Merged: 3"\n'
MONITORING = "deploy/kubernetes/components/monitoring/rules.yaml"


@pytest.fixture(scope="module")
def left(
    once: Callable[[str, Callable[[Path], Any]], Any], rendered: Callable[..., Path], releases: Releases
) -> Path:
    """A service after the steps, before they are committed. Copy it before you change it."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        git(folder, "clone", "--quiet", str(rendered(releases.present)), "service")
        (folder / "service/notes.yaml").write_text(NOTES, encoding="utf-8")
        commit(folder / "service")
        steps = re.search(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
        assert steps is not None
        subprocess.run(["sh", "-euc", steps[1]], cwd=folder / "service", check=True)
        return folder / "service"

    made: Path = once("left", make)
    return made


def test_a_service_that_left_runs_on(left: Path, tmp_path: Path) -> None:
    service = copy_of(left, tmp_path / "service")
    before = git(service, "ls-tree", "-r", "--name-only", "HEAD").splitlines()

    gone = set(before) - set(git(service, "ls-files").splitlines())
    assert {".copier-answers.yml", "chassis/ownership.toml"} <= gone
    assert not [path for path in gone if path.startswith(("chassis/src/", "src/", "tests/"))]
    for path in git(service, "ls-files").splitlines():
        text = (service / path).read_text(encoding="utf-8")
        assert "Owned by the template: " not in text, path
        if path != "notes.yaml":
            assert not re.search("(Yours|Merged): ", "".join(text.splitlines()[:3])), path
    assert (service / "notes.yaml").read_text(encoding="utf-8") == NOTES
    changed = git(service, "diff", "--cached", "--diff-filter=M", "--numstat").splitlines()
    by_lines = {line.split()[2]: line.split()[:2] for line in changed}
    assert by_lines.pop(MONITORING) == ["3", "3"]
    assert set(map(tuple, by_lines.values())) == {("1", "1")}
    commit(service)

    assert failed_tests(service) == []


def test_what_is_read_afterwards_stays(left: Path) -> None:
    project = tomllib.loads((left / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert project["chassis"] == {"package": "example_service"}
    assert project["uv"]["sources"] == {"vendored-chassis": {"path": "chassis", "editable": True}}
    assert find_service(left, {}).package == "example_service"


def test_no_update_comes_any_more(left: Path) -> None:
    done = CliRunner().invoke(update_app, ["--directory", str(left)])
    assert done.exit_code == 1
    assert "no .copier-answers.yml" in done.stderr


def test_what_the_service_does_not_use_can_go_and_the_rest_can_change(left: Path, tmp_path: Path) -> None:
    service = copy_of(left, tmp_path / "service")
    take_out_by_hand(service)
    shutil.rmtree(service / "chassis/src/chassis/bundles")
    context = service / "chassis/src/chassis/context.py"
    context.write_text(context.read_text(encoding="utf-8") + "\nOURS = 1\n", encoding="utf-8")
    for arguments in (["format", "--check"], ["check"]):
        ruff = [Path(sys.executable).parent / "ruff", *arguments, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=service, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert failed_tests(service) == []


def test_no_link_of_the_runbooks_leads_nowhere(left: Path, tmp_path: Path) -> None:
    service = copy_of(left, tmp_path / "service")
    assert dead_links(service) == ["service-behind-standard.md"]
    take_out_by_hand(service)
    assert dead_links(service) == []


def dead_links(service: Path) -> list[str]:
    index = service / "docs/runbooks/README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", index.read_text(encoding="utf-8"))
    assert links
    return [link for link in links if not (index.parent / link).exists()]


def take_out_by_hand(service: Path) -> None:
    """Follow the table of the guide."""
    for name in ("deploy/prometheus/rules/chassis.yml", MONITORING):
        documents = list(yaml.safe_load_all((service / name).read_text(encoding="utf-8")))
        kept = [one for one in documents if not one.get("metadata", {}).get("name", "").endswith("-releases")]
        for groups in (one.get("spec", one)["groups"] for one in kept):
            groups[:] = [group for group in groups if not group["name"].endswith(".standard")]
        (service / name).write_text(yaml.safe_dump_all(kept), encoding="utf-8")
    renovate = json.loads((service / "renovate.json").read_text(encoding="utf-8"))
    renovate["packageRules"].pop()
    renovate["ignorePaths"].remove("chassis/**")
    (service / "renovate.json").write_text(json.dumps(renovate), encoding="utf-8")
    index = service / "docs/runbooks/README.md"
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True)
    index.write_text("".join(line for line in lines if "ServiceBehindStandard" not in line), encoding="utf-8")
    makefile = service / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    text = text.replace(" update verify clean\n", " clean\n", 1)
    makefile.write_text(re.sub(r"(?m)^(update|verify): .*\n(\t.*\n)+", "", text), encoding="utf-8")


def test_what_the_guide_takes_out_by_hand_is_there(rendered: Callable[..., Path], releases: Releases) -> None:
    service = rendered(releases.present)
    rules = yaml.safe_load((service / "deploy/prometheus/rules/chassis.yml").read_text(encoding="utf-8"))
    objects = list(yaml.safe_load_all((service / MONITORING).read_text(encoding="utf-8")))
    names = [one["metadata"]["name"].removeprefix("example-service-") for one in objects]
    assert names == ["chassis", "releases"]
    for groups in (rules["groups"], objects[0]["spec"]["groups"]):
        standard = [group for group in groups if group["name"].endswith(".standard")]
        assert len(standard) == 1
        alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
        assert [rule["alert"] for rule in alerts if "Standard" in rule["alert"]] == [
            rule["alert"] for rule in standard[0]["rules"] if "alert" in rule
        ]
        # It fires for every digest that is none of a release.
        (changed,) = [rule for rule in alerts if rule["labels"].get("reason") == "changed"]
        assert "unless on (chassis_version, chassis_digest)" in changed["expr"]
    renovate = json.loads((service / "renovate.json").read_text(encoding="utf-8"))
    assert [rule["matchManagers"] for rule in renovate["packageRules"]] == [["copier"]]
    assert "chassis/**" in renovate["ignorePaths"]
    makefile = (service / "Makefile").read_text(encoding="utf-8")
    assert "\nupdate:" in makefile
    assert "\nverify:" in makefile
    assert re.search(r"(?m)^TARGETS := .* update verify clean$", makefile)
    gitlab = rendered(releases.present, "gitlab", ci="gitlab")
    assert "\nstandard:\n" in (gitlab / ".gitlab/chassis.yml").read_text(encoding="utf-8")
