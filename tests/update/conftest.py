"""What the update tests share: the template's releases and renders of them.

All of it is made once a session, whatever the number of workers, and only read afterwards.
"""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import copier
import pytest
from copier._cli import CopierApp
from typer.testing import CliRunner

from chassis.cli.update import copier_run
from chassis.cli.update.command import app as update_app
from chassis.cli.update.process import Completed, Running

sys.path.append(str(Path(__file__).parent))

from quick_copier import quick_copier
from releases import Releases, commit

Once = Callable[[str, Callable[[Path], Any]], Any]
Run = Callable[..., dict[str, Any]]

GIT_CONFIG = "[user]\nname = Test\nemail = test@example.com\n[init]\ntemplateDir =\n"


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    with quick_copier():
        yield


@pytest.fixture(scope="session")
def releases(once: Once) -> Releases:
    """The template's repository with a tag for every release, also for made-up ones to come."""
    made: Releases = once("template", Releases.make)
    return made


@pytest.fixture(scope="session")
def rendered(once: Once, releases: Releases) -> Callable[..., Path]:
    """A render of one version, committed. Copy it before you change it."""

    def render(version: str, name: str = "default", **answers: Any) -> Path:
        def make(folder: Path) -> Path:
            service = folder / "service"
            copier.run_copy(
                str(releases.repository), service, data=answers, vcs_ref=version, defaults=True, quiet=True
            )
            commit(service, "Begin")
            return service

        made: Path = once(f"{version}-{name}", make)
        return made

    return render


@pytest.fixture
def service(rendered: Callable[..., Path], releases: Releases, tmp_path: Path) -> Path:
    """A service of the present version, with every answer at its default, to do something with."""
    return Path(shutil.copytree(rendered(releases.present), tmp_path / "service", symlinks=True))


@pytest.fixture(scope="session")
def update() -> Callable[..., None]:
    """Update a service without trust, as `copier update --defaults` does, to the newest version or ``to``."""

    def updated(service: Path, to: str | None = None, **options: Any) -> None:
        copier.run_update(service, vcs_ref=to, defaults=True, overwrite=True, quiet=True, **options)

    return updated


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep git's configuration and uv's network and cache of this machine out of it."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "gitconfig").write_text(GIT_CONFIG)
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("UV_OFFLINE", "1")
        patch.setenv("UV_CACHE_DIR", str(folder / "uv"))
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setattr("tempfile.tempdir", str(folder / "tmp"))
        yield


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run Copier in this process, where it is quick."""

    class Waiting(Running):
        """Does its work when it is waited for."""

        def __init__(
            self, arguments: Sequence[str | Path], directory: Path, *_: object, **__: object
        ) -> None:
            self.arguments, self.directory = [str(argument) for argument in arguments], directory

        def wait(self, text: str = "") -> Completed:
            said = io.StringIO()
            with (
                contextlib.chdir(self.directory),
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said),
            ):
                _, code = CopierApp.run(["copier", *self.arguments], exit=False)
            return Completed(code or 0, said.getvalue(), text)

        def __exit__(self, *_: object) -> None:
            """Nothing runs any more."""

    monkeypatch.setattr(copier_run, "_copier", Waiting)


@pytest.fixture
def run() -> Run:
    """Run the command in a service, without its tests; returns its JSON."""

    def run(service: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = CliRunner().invoke(
            update_app, ["--directory", str(service), "--json", "--no-tests", *arguments]
        )
        assert done.exit_code == code, done.output
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run
