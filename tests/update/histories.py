"""Years of work on a rendered service: a generator of edits, the same ones for the same seed.

Each edit leaves a service that works: its tests pass after it as before. An edit that does not apply, because
an earlier one took its place away, does nothing and says so.
"""

from collections.abc import Callable
from pathlib import Path

import edits_of_code
import edits_of_files
import edits_of_project
from owner import Owner

Edit = Callable[[Owner], bool]


def work(service: Path, seed: int, edits: int | None = None) -> list[str]:
    """Make that many edits, or some, in a service; returns what was done."""
    owner = Owner(service, seed)
    number = edits or owner.random.randint(3, 12)
    chosen = [owner.random.choice(EDITS) for _ in range(number)]
    return [edit.__name__ for edit in chosen if edit(owner)]


# What is done often is here twice.
EDITS: list[Edit] = [
    edits_of_code.comment_code,
    edits_of_code.write_function,
    edits_of_code.delete_test,
    edits_of_code.reorder_tests,
    edits_of_code.rename_module,
    edits_of_code.add_routes,
    edits_of_code.add_test,
    edits_of_code.delete_example,
    edits_of_project.add_requirement,
    edits_of_project.add_requirement,
    edits_of_project.add_dev_requirement,
    edits_of_project.add_dev_requirement,
    edits_of_project.append_requirement,
    edits_of_project.remove_requirement,
    edits_of_project.bump_requirement,
    edits_of_project.bump_version,
    edits_of_project.describe,
    edits_of_project.add_script,
    edits_of_project.configure_tools,
    edits_of_files.edit_readme,
    edits_of_files.configure_service,
    edits_of_files.edit_overlay,
    edits_of_files.ignore_files,
    edits_of_files.delete_files_of_the_template,
    edits_of_files.delete_own_files,
    edits_of_files.add_files,
    edits_of_files.add_files,
]
