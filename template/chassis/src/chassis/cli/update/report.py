"""What an update tells: lines for people while it runs, or one JSON document for programs at its end."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chassis.cli.update.drift import Edit, State, tell
from chassis.cli.update.errors import UpdateError

__all__ = ["Report", "Result"]


@dataclass(slots=True)
class Result:
    """What happened. ``status`` is one of: up-to-date, behind, updated, unmerged, failed."""

    status: str = "failed"
    current: str = ""
    target: str = ""
    branch: str = ""
    worktree: str = ""
    changelog: str = ""
    edits: list[dict[str, str]] = field(default_factory=list)
    healed: str = ""
    migrations: list[str] = field(default_factory=list)
    reports: str = ""
    lock: str = ""
    tests: str = ""
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    error: str = ""
    output: str = ""


class Report:
    """Collects the result and shows it as it comes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.result = Result()

    def say(self, text: str = "") -> None:
        """Tell a person what is being done."""
        if not self._as_json:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def note(self, text: str, block: str = "") -> None:
        """Tell something to keep in mind; it is in the JSON too, with the text that it is about."""
        self.result.notes.append(f"{text}\n{block}" if block else text)
        self.say(text)
        self.block(block)

    def block(self, text: str) -> None:
        """Show a longer text, indented."""
        for line in text.splitlines():
            self.say(f"    {line}".rstrip())

    def edits(self, edits: Sequence[Edit], healing: str) -> None:
        """Tell which template-owned files were changed by hand, and where each change belongs.

        ``healing`` is the command that restores them; empty if that is what is being done.
        """
        self.result.edits = [edit.as_dict() for edit in edits]
        if any(edit.is_drift and edit.state is not State.IGNORED for edit in edits):
            self.say(f"Edited by hand{f' (merged; {healing} restores them)' if healing else ''}:")
        self.block("\n".join(tell(edits)))

    def fail(self, error: UpdateError) -> None:
        """Tell what went wrong: on standard error, or in the JSON."""
        self.result.error, self.result.output = str(error), error.output
        self.result.files = list(error.files)
        if self._as_json:
            return
        sys.stdout.flush()
        for line in [*error.output.splitlines(), *error.files]:
            sys.stderr.write(f"    {line}\n")
        sys.stderr.write(f"chassis update: {error}\n")

    def close(self) -> None:
        """Print the JSON document, if that is what was asked for."""
        if self._as_json:
            document: dict[str, Any] = asdict(self.result)
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
