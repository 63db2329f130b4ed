"""`make update` on services of this template, with the real Copier: a branch that is good, or nothing.

The template here is the working tree with three releases: 0.1.0 is what is there, 0.2.0 changes files of each
class, 0.3.0 brings a migration. Releases are made by hooks/release.py.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import copier
import pytest
from typer.testing import CliRunner

from chassis import release as running
from chassis.cli.verify import app as verify_app

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
COMMAND = "import sys; from chassis.cli.update.command import app; app(args=sys.argv[1:])"

MIGRATION = """
import pathlib, sys
file = pathlib.Path("config/service.yaml")
file.write_text(file.read_text() + "# migrated\\n")
print("Migration 0.3.0: config/service.yaml: it says so now.", file=sys.stderr)
"""
MIGRATIONS = """
_migrations:
  - version: 0.3.0
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/migrations/v0_3_0.py"]
"""

# A loaded machine is slow, not wrong.
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("alone")]

Run = Callable[..., dict[str, Any]]


def git(folder: Path, *arguments: str | Path) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change")


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "hooks" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def template(release: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with three releases."""
    folder = tmp_path_factory.mktemp("template") / "chassis"
    listed = git(
        ROOT,
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
        "copier.yml",
        "questions",
        "template",
    )
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    settings = folder / "copier.yml"
    # The migrations of the real releases belong to other versions.
    settings.write_text(re.sub(r"_migrations:\n(  .*\n)+", "", settings.read_text()))
    (folder / release.RECORD).unlink(missing_ok=True)
    changelog = folder / "CHANGELOG.md"
    changelog.write_text("# Changes\n")

    def make(version: str, text: str) -> None:
        replace(changelog, "# Changes\n", f"# Changes\n\n## Unreleased\n\n- {text}\n")
        commit(folder)
        release.make_release(folder, version, NOW)

    make("0.1.0", "The first.")
    append(folder / release.PACKAGE / "context.py", "\nADDED = 2\n")
    replace(
        folder / "template/Makefile.jinja", "-include service.mk", "# Included last.\n-include service.mk"
    )
    replace(
        folder / "template/pyproject.toml.jinja",
        '    "vendored-chassis[checks,testing]",',
        '    "vendored-chassis[checks,testing]",\n    "basedtyping>=0.1,<1",',
    )
    replace(folder / "template/.gitignore.jinja", "/dist/\n", "/dist/\n/next/\n")
    append(folder / "template/src/{{package_name}}/app.py.jinja", "\n# never reaches an existing service\n")
    make("0.2.0", "The `second`.")
    (folder / "hooks/migrations").mkdir(parents=True)
    (folder / "hooks/migrations/v0_3_0.py").write_text(MIGRATION)
    append(settings, MIGRATIONS)
    make("0.3.0", "A migration.")
    return folder


@pytest.fixture(scope="module")
def rendered(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service of 0.1.0, not committed."""
    folder = tmp_path_factory.mktemp("rendered") / "orders"
    data = {"service_name": "Orders", "deployment": "none"}
    copier.run_copy(str(template), folder, data=data, vcs_ref="0.1.0", defaults=True, quiet=True)
    return folder


@pytest.fixture
def service(rendered: Path, tmp_path: Path) -> Path:
    """A repository of a service of 0.1.0."""
    folder = Path(shutil.copytree(rendered, tmp_path / "orders"))
    commit(folder)
    return folder


def state(service: Path) -> tuple[object, ...]:
    """Everything that an update could change, except the branch that it makes."""
    files = {
        file: file.read_bytes()
        for file in service.rglob("*")
        if file.is_file() and ".git" not in file.relative_to(service).parts
    }
    return (
        files,
        git(service, "rev-parse", "HEAD"),
        git(service, "status", "--porcelain"),
        git(service, "worktree", "list"),
    )


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure git in every way that Copier alone stumbles over, mostly in silence."""
    (folder / "ignored").write_text("*.toml\n")
    (folder / "attributes").write_text("*.toml binary\n* text eol=crlf\n")
    (folder / "templates/info").mkdir(parents=True)
    (folder / "templates/info/exclude").write_text("*.toml\n")
    (folder / "gitconfig").write_text(f"""
[user]
    name = Test
    email = test@example.com
[init]
    templateDir = {folder}/templates
[apply]
    # Git refuses to apply what ends in blanks.
    whitespace = error
[core]
    quotePath = false
    excludesFile = {folder}/ignored
    attributesFile = {folder}/attributes
    autocrlf = true
    safecrlf = true
[status]
    showUntrackedFiles = no
[merge]
    conflictStyle = diff3
""")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")


def test_an_edited_service_takes_three_releases_at_once_and_loses_nothing(
    service: Path, template: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch)
    append(service / "src/orders/app.py", "# mine\n")
    append(service / ".gitignore", "/mine/\n")
    (service / "né.txt").touch()
    append(service / "README.md", "Mine.\n")
    append(service / "config/service.yaml", "# mine\n")
    replace(service / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "cachetools>=6,<7",  \n')
    replace(service / "pyproject.toml", 'version = "0.1.0"', 'version = "7.0.0"')
    (service / "uv.lock").write_text('version = 1\nrequires-python = ">=3.11"\n')
    (service / ".editorconfig").unlink()
    (service / "service.mk").write_text("mine:\n")
    commit(service)
    before = state(service)

    result = run(service)

    assert (result["status"], result["branch"]) == ("updated", "chassis-update-0.3.0")
    assert result["changelog"].splitlines()[::4] == ["## 0.3.0 (2026-11-21)", "## 0.2.0 (2026-11-21)"]
    assert (result["migrations"], result["lock"]) == (["0.3.0"], "stale")
    assert result["reports"] == "Migration 0.3.0: config/service.yaml: it says so now."
    assert [(edit["path"], edit["state"]) for edit in result["edits"]] == [(".editorconfig", "deleted")]
    assert state(service) == before
    git(service, "merge", "--quiet", "--ff-only", result["branch"])
    assert "# mine" in (service / "src/orders/app.py").read_text()
    assert "never reaches" not in (service / "src/orders/app.py").read_text()
    assert (service / "README.md").read_text().endswith("Mine.\n")
    assert (service / "config/service.yaml").read_text().endswith("# mine\n# migrated\n")
    project = (service / "pyproject.toml").read_text()
    assert all(
        text in project for text in ('"cachetools>=6,<7"', 'version = "7.0.0"', '"basedtyping>=0.1,<1"')
    )
    assert {"/next/", "/mine/"} <= set((service / ".gitignore").read_text().splitlines())
    assert "# Included last." in (service / "Makefile").read_text()
    assert not (service / ".editorconfig").exists()
    assert f"_commit: 0.3.0\n_src_path: {template}\n" in (service / ".copier-answers.yml").read_text()
    assert run(service)["status"] == "up-to-date"
    running.digest.cache_clear()
    verdict = CliRunner().invoke(verify_app, ["--directory", str(service), "--json"])
    assert json.loads(verdict.stdout)["status"] == "exact"


@pytest.mark.usefixtures("in_process")
def test_a_conflict_changes_nothing_and_healing_solves_it(
    service: Path, template: Path, run: Run, tmp_path: Path
) -> None:
    replace(service / "Makefile", "-include service.mk", "-include service.mk mine.mk")
    append(service / "chassis/src/chassis/context.py", "\nMINE = 1\n")
    # From a bundle file, while the recorded address is nowhere: as it is without a network.
    replace(service / ".copier-answers.yml", str(template), "https://template.invalid/chassis.git")
    commit(service)
    git(template, "bundle", "create", "--quiet", tmp_path / "chassis.bundle", "--all")
    bundle = ("--template", str(tmp_path / "chassis.bundle"))
    before = state(service)

    failed = run(service, *bundle, "--to", "0.2.0", code=1)
    assert failed["status"] == "unmerged"
    assert failed["files"] == ["Makefile", "chassis/src/chassis/context.py"]
    assert [(edit["path"], edit["neighbour"]) for edit in failed["edits"]] == [
        ("Makefile", "service.mk"),
        ("chassis/src/chassis/context.py", "src/"),
    ]
    assert state(service) == before

    healed = run(service, *bundle, "--to", "0.2.0", "--heal")
    assert {"--include service.mk mine.mk", "-MINE = 1"} <= set(healed["healed"].splitlines())
    branch = healed["branch"]
    assert "mine.mk" not in git(service, "show", f"{branch}:Makefile")
    assert git(service, "show", f"{branch}:chassis/src/chassis/context.py") == git(
        template, "show", "0.2.0:template/chassis/src/chassis/context.py"
    )
    assert "_src_path: https://template.invalid/chassis.git" in git(
        service, "show", f"{branch}:.copier-answers.yml"
    )
    assert state(service) == before


@pytest.mark.usefixtures("in_process")
def test_a_bundle_comes_later_and_goes_again_in_a_folder_of_a_repository(
    rendered: Path, run: Run, tmp_path: Path
) -> None:
    top = tmp_path / "shop"
    service = Path(shutil.copytree(rendered, top / "services/orders"))
    (top / "pyproject.toml").write_text("[tool.other]\n")
    commit(top)

    chosen = run(service, "--data", "bundles=[database]")
    assert chosen["branch"] == "chassis-answers-bundles-services-orders"
    git(top, "merge", "--quiet", "--ff-only", chosen["branch"])
    assert (service / "migrations/env.py").exists()
    assert "database" in (service / "pyproject.toml").read_text().split("vendored-chassis[")[1].split("]")[0]
    told = "\n".join(chosen["notes"])
    assert {"+++ src/orders/app.py", "+++ src/orders/settings.py"} <= set(told.splitlines())
    assert "+    database: DatabaseSettings = DatabaseSettings()" in told.splitlines()
    assert "chassis.bundles.database" in told

    (service / "migrations/versions").mkdir()
    (service / "migrations/versions/0002_mine.py").write_text('"""Mine."""\n')
    (service / "tests/test_migrations.py").unlink()
    (service / "src/orders/store.py").write_text("from chassis.bundles.database import Database\n")
    commit(top)
    dropped = run(service, "--data", "bundles=[]")
    kept = git(top, "ls-tree", "-r", "--name-only", f"{dropped['branch']}:services/orders").splitlines()
    assert {"migrations/env.py", "migrations/versions/0002_mine.py", "src/orders/store.py"} <= set(kept)
    assert "tests/test_migrations.py" not in kept
    assert dropped["notes"][-1].splitlines()[0].startswith("Yours, kept, and without a purpose now")
    assert {"migrations/env.py", "migrations/versions/0002_mine.py", "src/orders/store.py"} <= set(
        dropped["notes"][-1].splitlines()
    )


def test_an_update_that_is_killed_leaves_the_service_as_it_was(service: Path) -> None:
    before = state(service)
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--directory", str(service), "--no-tests"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line == "Updating ...\n" for line in process.stdout)
        process.kill()
    # Its second tree is still listed; the next update removes it.
    assert state(service)[:3] == before[:3]
    assert git(service, "branch", "--list").split() == ["*", "main"]


def test_check_says_what_is_new(service: Path, run: Run) -> None:
    behind = run(service, "--check", code=2)
    assert (behind["status"], behind["current"], behind["target"]) == ("behind", "0.1.0", "0.3.0")
    assert "- The `second`." in behind["changelog"]
    assert run(service, "--check", "--to", "0.1")["status"] == "up-to-date"
