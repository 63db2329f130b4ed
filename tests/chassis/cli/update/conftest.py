"""A small template with releases, a service of it, and a Copier that copies without rendering.

The template has a file of each class. The real Copier and the real template are in tests/update.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chassis.cli.update import copier_run
from chassis.cli.update.errors import UpdateError

CHASSIS = Path(__file__).parents[4] / "template" / "chassis"

GIT_CONFIG = """
[user]
name = Test
email = test@example.com
[init]
defaultBranch = main
templateDir =
"""

Git = Callable[..., str]
Write = Callable[[Path, dict[str, str]], None]


def run_git(folder: Path, *arguments: str | Path, text: str | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, input=text
    )
    return done.stdout


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def commit_all(folder: Path) -> str:
    config = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgSign=false"]
    if not (folder / ".git").exists():
        run_git(folder, "init", "--quiet", "--template=", "--initial-branch=main")
    run_git(folder, "add", "--all")
    run_git(folder, *config, "commit", "--quiet", "--allow-empty", "--message", "Change")
    return run_git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration of this machine out, and temporary files in."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "gitconfig").write_text(GIT_CONFIG)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("UV_", "MAKE", "PIP_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def git() -> Git:
    return run_git


@pytest.fixture
def write() -> Write:
    return write_files


@pytest.fixture
def commit() -> Callable[[Path], str]:
    """Commit everything in a folder, which becomes a repository if it is none; returns the commit."""
    return commit_all


FIRST = {
    "copier.yml": "_subdirectory: template\n",
    "CHANGELOG.md": "# Changes\n\n## 0.1.0 (2026-11-01)\n\n- The first.\n",
    "template/Makefile": "# Owned by the template\ntest:\n\t@true\nupdate:\n\tchassis update\n",
    "template/.gitignore": "*.log\n",
    "template/SECURITY.md": "old\n",
    "template/pyproject.toml": '[tool.chassis]\npackage = "orders"\n',
    "template/src/orders/app.py": "app = 1\n",
    "template/chassis/ownership.toml": (CHASSIS / "ownership.toml").read_text(encoding="utf-8"),
    "template/chassis/src/chassis/release.py": 'VERSION = "0.1.0"\n',
    "template/chassis/src/chassis/context.py": "context = 1\n",
}
CONFLICT = "<<<<<<< before updating\na\n=======\nb\n>>>>>>> after updating\n"
SECOND = {
    "CHANGELOG.md": "# Changes\n\n## 0.2.0 (2026-11-02)\n\n- The `second`.\n\n## 0.1.0\n\n- The first.\n",
    "template/Makefile": "# Owned by the template\ntest:\n\t@test ! -e broken\nupdate:\n\tchassis update\n",
    "template/chassis/src/chassis/release.py": 'VERSION = "0.2.0"\n',
    "template/chassis/src/chassis/added.py": "added = 2\n",
}


@pytest.fixture(scope="session")
def _released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "template"
    for tag, files in (("0.1.0", FIRST), ("0.2.0", SECOND)):
        write_files(folder, files)
        commit_all(folder)
        run_git(folder, "tag", tag)
    return folder


@pytest.fixture(scope="session")
def _rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "orders"
    files = {path: text for path, text in FIRST.items() if path.startswith("template/")}
    write_files(folder, {path.removeprefix("template/"): text for path, text in files.items()})
    write_files(folder, {"src/orders/app.py": "app = 'mine'\n"})
    return folder


@pytest.fixture
def template(tmp_path: Path, _released: Path) -> Path:
    """A template with the releases 0.1.0 and 0.2.0."""
    return Path(shutil.copytree(_released, tmp_path / "template"))


@dataclass
class FakeCopier:
    """Copies the files of a version; the other fields say what happens besides, and what it ``says``."""

    conflict: str = ""
    says: str = ""
    fails: str = ""
    calls: list[dict[str, object]] = field(default_factory=list)
    during: Callable[[Path], None] = lambda _: None

    def render(self, clone: Path, commit: str, answers: Path, directory: Path, **_: object) -> None:
        archive = subprocess.run(
            ["git", "archive", commit, "template"], cwd=clone, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(directory.with_name(f"{directory.name}-all"), filter="data")
        shutil.move(directory.with_name(f"{directory.name}-all") / "template", directory)
        directory.with_name(f"{directory.name}-all").rmdir()
        shutil.copy(answers, directory / ".copier-answers.yml")

    @contextmanager
    def updating(
        self, tree: Path, commit: str, data: dict[str, str], *, trust: bool, **_: object
    ) -> Iterator[Callable[[], str]]:
        yield lambda: self.update(tree, commit, data, trust=trust)

    def update(self, tree: Path, commit: str, data: dict[str, str], *, trust: bool) -> str:
        self.calls.append({"service": tree, "commit": commit, "data": dict(data), "trust": trust})
        self.during(tree)
        if self.fails:
            raise UpdateError("Copier could not update", output=self.fails)
        answers = tree / ".copier-answers.yml"
        text = answers.read_text(encoding="utf-8")
        source = json.loads(text.split("_src_path: ")[1].splitlines()[0])
        assert Path(source).name == "template.git"
        rendered = tree.parent / "rendered"
        self.render(Path(source), commit, answers, rendered)
        for owned in ("Makefile", "chassis"):
            if (rendered / owned).is_dir():
                shutil.copytree(rendered / owned, tree / owned, dirs_exist_ok=True)
            elif (tree / owned).exists():
                shutil.copy(rendered / owned, tree / owned)
        shutil.rmtree(rendered)
        old = text.split("_commit: ")[1].splitlines()[0]
        extra = "".join(f"{name}: {value}\n" for name, value in data.items())
        answers.write_text(text.replace(f"_commit: {old}", f"_commit: {commit}") + extra, encoding="utf-8")
        if self.conflict:
            write_files(tree, {self.conflict: CONFLICT})
        return self.says


@pytest.fixture
def copier(monkeypatch: pytest.MonkeyPatch) -> FakeCopier:
    """Put the fake in the place of Copier."""
    fake = FakeCopier()
    monkeypatch.setattr(copier_run, "render", fake.render)
    monkeypatch.setattr(copier_run, "updating", fake.updating)
    return fake


@pytest.fixture
def service(tmp_path: Path, template: Path, _rendered: Path) -> Path:
    """A service of 0.1.0 in a repository of its own, with a line of its owner."""
    folder = Path(shutil.copytree(_rendered, tmp_path / "orders"))
    answers = f"# Not yours\n_commit: 0.1.0\n_src_path: {template}\npackage_name: orders\n"
    write_files(folder, {".copier-answers.yml": answers})
    commit_all(folder)
    return folder
