"""The service that an update is migrating: its folder, and what it was before the update.

Copier starts a migration in the service's folder and says in the environment which stage it is (``before``
or ``after`` the merge) and which versions the update goes from and to.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from refused import Refused

__all__ = ["ANSWERS", "Service"]

ANSWERS = ".copier-answers.yml"


@dataclass(frozen=True)
class Service:
    """A service in the middle of an update. Paths are relative to its folder, with ``/``."""

    root: Path
    stage: str
    version_from: str
    version_current: str

    @classmethod
    def of_this_update(cls, environ: Mapping[str, str] = os.environ) -> "Service":
        """Give the service that Copier started this process for. Raises ``Refused`` outside an update."""
        try:
            return cls(
                Path.cwd(), environ["STAGE"], environ["VERSION_FROM"], environ.get("VERSION_CURRENT", "")
            )
        except KeyError as error:
            raise Refused(f"{error.args[0]} is not set: Copier runs a migration during an update") from error

    def path(self, name: str) -> Path:
        """Give the place of a file. Raises ``Refused`` for one outside the service."""
        place = self.root / name
        if not place.resolve().is_relative_to(self.root.resolve()):
            raise Refused(f"{name} is outside the service")
        return place

    def committed(self, name: str) -> bytes | None:
        """Give a file as the owner committed it before the update, or nothing if there is none."""
        return self.git("show", f"HEAD:./{name}")

    def git(self, *arguments: str) -> bytes | None:
        """Run git in the service and give its output, or nothing when it fails."""
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git that Copier uses
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else None

    def rendered_before(self, name: str) -> bytes | None:
        """Give a file as the old version of the template rendered it, or nothing if it did not.

        The first call takes the time of a `copier copy`. Raises ``Refused`` when the old version is not to be
        had.
        """
        return self.rendered_by(self.version_from, name)

    def rendered_by(self, version: str, name: str) -> bytes | None:
        """Give a file as a version renders it with the answers of before, or nothing if it does not.

        Costs and raises what ``rendered_before`` does.
        """
        answers = self.committed(ANSWERS)
        if answers is None:
            raise Refused(f"{ANSWERS} is not committed")
        file = _render(self.root, version, answers) / name
        return file.read_bytes() if file.is_file() else None

    def edit(self, name: str, change: Callable[[str], str]) -> bool:
        """Change a text file, and say whether it changed. What is not understood is left and reported."""
        place = self.path(name)
        if not place.is_file():
            return False
        before = place.read_bytes()
        try:
            after = change(before.decode()).encode()
        except UnicodeDecodeError:
            self.report(name, "it is not UTF-8, and was left as it is")
            return False
        except Refused as reason:
            self.report(name, f"{reason}. It was left as it is: make this change by hand")
            return False
        if after == before:
            return False
        place.write_bytes(after)
        return True

    def report(self, name: str, sentence: str) -> None:
        """Tell the owner about a file."""
        print(f"Migration {self.version_current}: {name}: {sentence}.", file=sys.stderr)


@cache
def _render(root: Path, version: str, recorded: bytes) -> Path:
    """Render a version with recorded answers into a folder that is gone when this process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    answers = yaml.safe_load(recorded)
    given = {question: answer for question, answer in answers.items() if not question.startswith("_")}
    data, rendered = folder / "answers.yml", folder / "rendered"
    data.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    options = ["--quiet", "--defaults", "--data-file", str(data), "--vcs-ref", version]
    done = subprocess.run(
        [sys.executable, "-m", "copier", "copy", *options, str(answers["_src_path"]), str(rendered)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(f"version {version} of the template cannot be rendered: {done.stderr.strip()}")
    return rendered
