"""What the CHANGELOG says between two versions."""

from chassis.cli.update.changelog import between, plain
from chassis.cli.update.versions import Version

TEXT = """# Changes

## Unreleased

- Not yet.

## [0.10.0] - 2026-11-03

### Fixed

- Tenth.

## 0.1.1 (2026-11-04)

- A patch of the older line.

## 0.2.0 (2026-11-02)

- Second.

## 00.1.0

- No version.

## Before

- Old times.
"""


def test_the_sections_after_one_release_up_to_another_newest_first() -> None:
    assert between(TEXT, Version(0, 1, 0), Version(0, 2, 0)) == (
        "## 0.2.0 (2026-11-02)\n\n- Second.\n\n## 0.1.1 (2026-11-04)\n\n- A patch of the older line."
    )
    assert between(TEXT, Version(0, 2, 0), Version(0, 10, 0)) == (
        "## [0.10.0] - 2026-11-03\n\n### Fixed\n\n- Tenth."
    )
    assert between(TEXT, Version(0, 10, 0), Version(0, 10, 0)) == ""


def test_no_line_of_a_commit_message_begins_as_a_comment() -> None:
    assert plain("## 0.2.0\n\n### Fixed\n\n- A # stays.") == "0.2.0\n\nFixed\n\n- A # stays."
