"""A service that leaves the template by docs/how-to/leave.md runs on, and nothing in it speaks of the template."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml
from promises import failed_tests
from releases import ROOT, Releases, commit, git

GUIDE = (ROOT / "docs/how-to/leave.md").read_text(encoding="utf-8")


def test_a_service_that_left_runs_on(
    rendered: Callable[..., Path], releases: Releases, tmp_path: Path
) -> None:
    service = tmp_path / "service"
    git(tmp_path, "clone", "--quiet", str(rendered(releases.present)), str(service))
    before = git(service, "ls-files").splitlines()
    steps = re.search(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    assert steps is not None

    subprocess.run(["sh", "-euc", steps[1]], cwd=service, check=True)

    gone = set(before) - set(git(service, "ls-files").splitlines())
    assert {".copier-answers.yml", "chassis/ownership.toml"} <= gone
    assert not [path for path in gone if path.startswith(("chassis/src/", "src/", "tests/"))]
    for path in git(service, "ls-files").splitlines():
        top = (service / path).read_text(encoding="utf-8").splitlines()[:2]
        assert not re.search("(Owned by the template|Yours|Merged): ", "".join(top)), path
    changed = git(service, "diff", "--cached", "--diff-filter=M", "--numstat").splitlines()
    assert {tuple(line.split()[:2]) for line in changed} == {("1", "1")}
    commit(service)

    assert failed_tests(service) == []


def test_what_the_guide_takes_out_by_hand_is_there(rendered: Callable[..., Path], releases: Releases) -> None:
    service = rendered(releases.present)
    rules = yaml.safe_load((service / "deploy/prometheus/rules/chassis.yml").read_text(encoding="utf-8"))
    standard = [group for group in rules["groups"] if group["name"].endswith(".standard")]
    assert len(standard) == 1
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert {rule["alert"] for rule in standard[0]["rules"] if "alert" in rule} == {
        alert for alert in alerts if "Standard" in alert
    }
    assert "copier" in (service / "renovate.json").read_text(encoding="utf-8")
    makefile = (service / "Makefile").read_text(encoding="utf-8")
    assert "\nupdate:" in makefile
    assert "\nverify:" in makefile
