"""What released versions do, which no later release can change."""

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from releases import Releases, git

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

# As in an environment that has neither uv nor Copier beside Python.
CALL = """
import importlib.metadata, sys
from pathlib import Path

def absent(name):
    raise importlib.metadata.PackageNotFoundError(name)

importlib.metadata.version = absent
sys.executable = "/nothing/python"
from chassis.cli.update import copier_run
copier_run._copier(["copy"], Path(sys.argv[1]))
"""


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_the_uv_of_make_is_found_by_old_releases_on_the_path_only(
    version: str, releases: Releases, tmp_path: Path
) -> None:
    archive = subprocess.run(
        ["git", "archive", version, "template/chassis/src"],
        cwd=releases.repository,
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(tmp_path, filter="data")
    uv = tmp_path / "service/.uv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    folders = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not any(shutil.which(name, path=folder) for name in ("uv", "copier"))
    ]

    def call(*path: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", CALL, str(tmp_path)],
            cwd=tmp_path / "service",
            env={"PATH": os.pathsep.join(path), "PYTHONPATH": str(tmp_path / "template/chassis/src")},
            capture_output=True,
            text=True,
            check=False,
        )

    assert "FileNotFoundError" in call(*folders).stderr
    found = call(str(uv.parent), *folders)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0"])
def test_old_releases_give_make_a_path_of_uv_that_it_splits_at_blanks(
    version: str, releases: Releases
) -> None:
    tooling = git(
        releases.repository, "show", f"{version}:template/chassis/src/chassis/cli/update/tooling.py"
    )
    makefile = git(releases.repository, "show", f"{version}:template/Makefile.jinja")
    assert '[f"UV={uv.resolve()}"]' in tooling
    assert "\n\t$(UV) sync" in makefile


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0"])
def test_an_update_of_old_releases_adds_no_file_that_is_ignored(version: str, releases: Releases) -> None:
    source = "template/chassis/src/chassis/cli/update"
    found = git(releases.repository, "grep", "-h", 'git(self.top, "add"', version, "--", source)
    assert {line.strip() for line in found.splitlines()} == {'git(self.top, "add", "--all")'}
