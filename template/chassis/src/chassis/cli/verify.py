"""``chassis verify``: whether the template's files in a service are as they were released and rendered.

The library is compared with its own record, offline. The other files need the template: each is compared with
what the recorded version renders from the recorded answers.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from chassis.cli.update import copier_run, drift, library, template
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.ownership import Ownership
from chassis.cli.update.service import ANSWERS, healing, read_answers
from chassis.cli.update.versions import Recorded

__all__ = ["Verdict", "app", "verify"]

RECORDED = "recorded"


class Status(StrEnum):
    """What can be said of a service."""

    EXACT = "exact"
    DRIFT = "drift"
    UNKNOWN = "unknown"


CODES = {Status.EXACT: 0, Status.DRIFT: 1, Status.UNKNOWN: 2}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. ``compared`` names the version that all files were compared with, if they were.

    ``healing`` is the command that restores them.
    """

    status: Status
    library: library.Library
    edits: tuple[drift.Edit, ...] = ()
    compared: str = ""
    reason: str = ""
    healing: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "status": self.status,
            "reason": self.reason,
            "chassis": {
                "version": self.library.version,
                "digest": self.library.digest,
                "released_digest": self.library.released_digest,
            },
            "compared": self.compared,
            "files": [edit.as_dict() for edit in self.edits],
        }

    def as_text(self) -> str:
        """Return it in lines: what holds, then each file."""
        drifted = [edit for edit in self.edits if edit.is_drift]
        deleted = [edit for edit in self.edits if not edit.is_drift]
        lines = [*self._unreleased(), self._headline(), *drift.tell(drifted)]
        if deleted:
            lines += ["What you deleted does not count:", *drift.tell(deleted)]
        return "\n".join(lines)

    def _unreleased(self) -> Iterator[str]:
        if self.compared and not _is_release(self.compared):
            yield f"Rendered from an unreleased commit ({self.compared}): compared with that commit."

    def _headline(self) -> str:
        if self.status is Status.UNKNOWN:
            return f"Cannot tell: {self.reason}."
        if self.status is Status.DRIFT:
            count = sum(edit.is_drift for edit in self.edits)
            files, they = ("file is", "it") if count == 1 else ("files are", "them")
            return f"{count} {files} not as the template has {they}; {self.healing} restores {they}:"
        if self.compared:
            return f"Exact: the template's files are those of {self.compared}."
        others = f"The template's other files were not compared (--template {RECORDED})."
        return f"Exact: the chassis is that of release {self.library.version}. {others}"


@app.command(epilog="Exit codes: 0 exact, 1 drift, 2 cannot tell.")
def command(
    *,
    directory: Annotated[
        Path, typer.Option(help="Directory of the service.", exists=True, file_okay=False, show_default=".")
    ] = Path(),
    source: Annotated[
        str,
        typer.Option(
            "--template",
            help=f"Also compare all other files with this clone, bundle file or address; {RECORDED} is the"
            " address in the answers, which is used anyway when it is on this machine.",
            show_default="none",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say whether the template's files are as they were released, and which were edited by hand."""
    verdict = verify(directory, source)
    typer.echo(json.dumps(verdict.as_dict(), indent=2) if as_json else verdict.as_text())
    raise typer.Exit(CODES[verdict.status])


def verify(directory: Path, source: str = "") -> Verdict:
    """Compare a service with its release, and with a render when the template is named or at hand."""
    start = directory.resolve()
    root = next((folder for folder in (start, *start.parents) if (folder / drift.LIBRARY).is_dir()), None)
    if root is None:
        reason = f"there is no {drift.LIBRARY} in {start} or above; run this in a service"
        return Verdict(Status.UNKNOWN, library.Library(), reason=reason)
    found = library.examine(root)
    commit = ""
    try:
        answers = read_answers(root)
        commit = str(answers["_commit"])
        place = answers["_src_path"] if source == RECORDED else source or _at_hand(answers["_src_path"])
        if place:
            return _compare_all(root, found, str(place), commit)
    except UpdateError as error:
        if source:
            return Verdict(Status.UNKNOWN, found, reason=_sentence(error))
        # Without answers, or with a template that is not what it was, the library can still be told.
        return _compare_library(root, found, commit, _sentence(error))
    return _compare_library(root, found, commit, "name a template that has it with --template")


def _compare_library(root: Path, found: library.Library, commit: str, otherwise: str) -> Verdict:
    """Compare with the record of releases; ``otherwise`` is for a service that came from none of them."""
    if found.is_released:
        return Verdict(Status.EXACT, found)
    if commit and not _is_release(commit):
        reason = f"this service was rendered from an unreleased commit ({commit}): {otherwise}"
        return Verdict(Status.UNKNOWN, found, reason=reason)
    if found.reason:
        return Verdict(Status.UNKNOWN, found, reason=found.reason)
    changes = found.changes or {library.RECORD: drift.State.EDITED}
    edits = drift.with_advice(changes, root)
    return Verdict(Status.DRIFT, found, edits, healing=healing(root))


def _compare_all(root: Path, found: library.Library, place: str, commit: str) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="chassis-template-") as folder:
        clone = template.fetch(place, Path(folder))
        described = clone.describe(commit)
        rendered = Path(folder) / "rendered"
        copier_run.render(clone.clone, described, root / ANSWERS, rendered, service=root)
        edits = tuple(drift.find_edits(root, rendered, Ownership.read(rendered)))
    status = Status.DRIFT if any(edit.is_drift for edit in edits) else Status.EXACT
    return Verdict(status, found, edits, compared=described, healing=healing(root))


def _is_release(commit: str) -> bool:
    recorded = Recorded.parse(commit)
    return recorded is not None and recorded.exact


def _at_hand(source: str) -> str:
    """Return the template's place if it is on this machine."""
    place = Path(source).expanduser()
    return source if place.is_absolute() and place.exists() else ""


def _sentence(error: UpdateError) -> str:
    return " ".join([str(error), *error.output.split()])
