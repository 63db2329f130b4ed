"""Versions of the template."""

import pytest

from chassis.cli.update.versions import Recorded, Version, newest


@pytest.mark.parametrize("tag", ["v1.0.0", "1.0", "1.0.0rc1", "01.0.0", "1.0.0.1", "nightly", ""])
def test_only_bare_versions_are_releases(tag: str) -> None:
    assert Version.parse(tag) is None


def test_releases_are_compared_by_their_numbers() -> None:
    assert newest(["0.9.0", "0.10.0", "0.2.11", "v9.9.9", "1.0.0rc1"]) == Version(0, 10, 0)
    assert newest(["stable"]) is None


@pytest.mark.parametrize(
    ("wanted", "found"), [("0.1", "0.1.12"), ("0.1.2", "0.1.2"), ("0", "0.11.0"), ("0.3", None)]
)
def test_one_release_or_the_newest_of_a_line_can_be_wanted(wanted: str, found: str | None) -> None:
    chosen = newest(["0.1.2", "0.1.12", "0.11.0", "1.0.0"], wanted)
    assert (None if chosen is None else str(chosen)) == found


def test_a_recorded_commit_is_a_release_or_comes_after_one() -> None:
    release, later = Recorded.parse("0.1.0"), Recorded.parse("0.1.0-3-gdeadbee")
    assert release is not None
    assert later is not None
    assert (release.release, release.exact, str(release)) == (Version(0, 1, 0), True, "0.1.0")
    assert (later.release, later.exact, str(later)) == (Version(0, 1, 0), False, "0.1.0-3-gdeadbee")
    assert Recorded.parse("deadbee") is None
    assert Recorded.parse("00.1.0") is None
