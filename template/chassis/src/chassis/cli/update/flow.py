"""What an update does, step by step. Nothing of it is seen in the service before the last one."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chassis.cli.update import advice, changelog, checks, copier_run, drift, tooling
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt, lines
from chassis.cli.update.moved import renamed_source
from chassis.cli.update.ownership import Owner, Ownership
from chassis.cli.update.report import Report
from chassis.cli.update.service import ANSWERS, Service, require_clean
from chassis.cli.update.template import Template, fetch, tags_of
from chassis.cli.update.versions import Recorded, Version, newest
from chassis.cli.update.worktree import Worktree, checked_out, open_worktree

__all__ = ["Request", "check", "update"]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. Without ``to`` it is the newest release, or with ``data`` the one that is there."""

    to: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    heal: bool = False
    keep: bool = False
    tests: bool = True
    template: str = ""
