"""Every way that was found to lose an owner's work or to leave a conflict, tried on the real template."""

import itertools
import re
import shutil
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from ownership import whose
from promises import broken_promises, contents, unmerged
from releases import CHANGED, HANDED_OVER, ROOT, Releases, commit, git
from services import (
    DELETED,
    IGNORED,
    MARK,
    OWN,
    PACKAGE,
    answers_of,
    copy_of,
    edited,
    recorded,
)

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

Render = Callable[..., Path]
Update = Callable[..., None]


class Renewed:
    """A service before and after it was renewed."""

    def __init__(self, folder: Path) -> None:
        self.before = folder / "before"
        self.after = folder / "service"

    def text(self, path: str) -> str:
        """Give a file as it is now."""
        return (self.after / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def updated(once: Callable[..., Any], rendered: Render, releases: Releases, update: Update) -> Renewed:
    """The edited service after an update to the following release."""

    def make(folder: Path) -> Path:
        before = edited(rendered(releases.present), folder / "before")
        update(copy_of(before, folder / "service"), to=releases.following)
        return folder

    return Renewed(once("updated", make))


@pytest.fixture(scope="module")
def recopied(once: Callable[..., Any], rendered: Render, releases: Releases) -> Renewed:
    """The edited service after `copier recopy --overwrite` with the following release."""

    def make(folder: Path) -> Path:
        before = edited(rendered(releases.present), folder / "before")
        service = copy_of(before, folder / "service")
        copier.run_recopy(service, vcs_ref=releases.following, defaults=True, overwrite=True, quiet=True)
        return folder

    return Renewed(once("recopied", make))


@pytest.fixture(scope="module", params=["updated", "recopied"])
def renewed(request: pytest.FixtureRequest) -> Renewed:
    """The edited service, renewed in one of two ways."""
    made: Renewed = request.getfixturevalue(request.param)
    return made


# --- An update and a recopy of an edited service ---


def test_an_update_keeps_every_promise(updated: Renewed, rendered: Render, releases: Releases) -> None:
    began = rendered(releases.present)
    fresh = rendered(releases.following, "as-before", **answers_of(began))
    assert broken_promises(updated.after, updated.before, began, fresh) == []


def test_what_is_the_owners_is_as_it_was(renewed: Renewed) -> None:
    before, after = contents(renewed.before), contents(renewed.after)
    owned = {path for path in before if whose(path) == "service"} | set(OWN)
    assert set(IGNORED) < owned
    assert [path for path in sorted(owned) if after.get(path) != before[path]] == []


def test_what_the_owner_deleted_of_the_own_files_stays_deleted(renewed: Renewed) -> None:
    gone = [path for path in DELETED if whose(path) == "service"]
    assert [path for path in gone if (renewed.after / path).exists()] == []


def test_what_the_owner_deleted_of_the_templates_files_stays_deleted_by_an_update(updated: Renewed) -> None:
    assert [path for path in DELETED if (updated.after / path).exists()] == []


def test_a_seed_that_is_new_in_the_template_does_not_appear_in_a_service(renewed: Renewed) -> None:
    assert not (renewed.after / PACKAGE / "next_release.py").exists()


def test_nothing_is_left_unmerged(renewed: Renewed) -> None:
    assert list(unmerged(renewed.after)) == []


def test_an_update_brings_new_files_and_takes_old_ones_away(updated: Renewed) -> None:
    assert (updated.after / "chassis/src/chassis/next_release.py").exists()
    assert (updated.after / "deploy/next/one.yaml").exists()
    assert not (updated.after / ".editorconfig").exists()


def test_a_recopy_brings_the_templates_files_too(
    recopied: Renewed, rendered: Render, releases: Releases
) -> None:
    new = contents(rendered(releases.following, "as-before", **answers_of(rendered(releases.present))))
    now = contents(recopied.after)
    ours = [path for path in new if whose(path) == "template" and path != ".copier-answers.yml"]
    assert [path for path in ours if now.get(path) != new[path]] == []


def test_merged_files_have_the_lines_of_both(updated: Renewed) -> None:
    for path in (".gitignore", "pyproject.toml"):
        assert MARK in updated.text(path)
        assert CHANGED in updated.text(path)
    assert tomllib.loads(updated.text("pyproject.toml"))["tool"]["chassis"]["layout"] == "next"


def test_a_recopy_leaves_merged_files_alone(recopied: Renewed) -> None:
    for path in (".gitignore", "pyproject.toml"):
        assert recopied.text(path) == (recopied.before / path).read_text(encoding="utf-8")


def test_an_answer_stays_when_the_default_changes_and_a_new_question_takes_its_default(
    renewed: Renewed, rendered: Render, releases: Releases
) -> None:
    answers = recorded(renewed.after)
    assert answers == recorded(rendered(releases.present)) | {
        "_commit": releases.following,
        "on_call": "nobody",
    }
    assert releases.questions(releases.following)["port"]["default"] != answers["port"]


def test_a_file_that_is_handed_over_stays_and_a_folder_keeps_the_owners_files(
    updated: Renewed, update: Update, releases: Releases, tmp_path: Path
) -> None:
    service = copy_of(updated.after, tmp_path / "service")
    commit(service, "Update")
    update(service, to=releases.last)
    assert list(unmerged(service)) == []
    assert CHANGED in (service / HANDED_OVER).read_text(encoding="utf-8")
    assert not (service / "deploy/next/one.yaml").exists()
    assert (service / "deploy/next/own.yaml").exists()


def test_a_copy_warns_of_nothing(releases: Releases, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copier.run_copy(
            str(releases.repository), tmp_path / "new", vcs_ref=releases.present, defaults=True, quiet=True
        )


# --- What is in the tree ---


def test_a_checkout_with_windows_line_endings_merges(
    service: Path, update: Update, releases: Releases, rendered: Render
) -> None:
    for path in ("Makefile", "pyproject.toml", ".gitignore", "README.md", f"{PACKAGE}/app.py"):
        file = service / path
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    with (service / "pyproject.toml").open("ab") as opened:
        opened.write(MARK.encode().replace(b"\n", b"\r\n"))
    commit(service, "Windows")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert MARK.strip() in (service / "pyproject.toml").read_text(encoding="utf-8")
    fresh = rendered(releases.following, "as-before", **answers_of(rendered(releases.present)))
    assert (service / "Makefile").read_bytes() == (fresh / "Makefile").read_bytes()


@pytest.mark.parametrize("path", ["README.md", "new.txt"])
def test_a_tree_with_uncommitted_work_is_refused(
    service: Path, update: Update, releases: Releases, path: str
) -> None:
    (service / path).write_text(MARK, encoding="utf-8")
    before = contents(service)
    with pytest.raises(UserMessageError, match="dirty"):
        update(service, to=releases.following)
    assert contents(service) == before


def test_nothing_is_rendered_that_an_update_would_overwrite_or_revert(
    rendered: Render, releases: Releases
) -> None:
    for name, answers in {"default": {}, "database": {"bundles": ["database"]}}.items():
        service = rendered(releases.present, name, **answers)
        paths = list(contents(service))
        assert git(service, "ls-files", "--cached", "--ignored", "--exclude-standard") == ""
        assert "uv.lock" not in paths
        for path in paths:
            assert b"\0" not in (service / path).read_bytes(), f"{path} is binary"


def test_choices_are_only_ever_appended(releases: Releases) -> None:
    versions = [*releases.released, releases.present]
    for older, newer in itertools.pairwise(versions):
        before, after = releases.questions(older), releases.questions(newer)
        for name, question in before.items():
            if not name.startswith("_") and "choices" in question and name in after:
                kept = choices(question)
                assert choices(after[name])[: len(kept)] == kept, name


def choices(question: dict[str, Any]) -> list[str]:
    """The values that can be answered."""
    listed = question["choices"]
    return list(listed.values() if isinstance(listed, dict) else listed)


def test_what_is_left_out_is_told_without_any_other_file_of_the_template(releases: Releases) -> None:
    # An update renders the new list in the folder of the old version, where a new file or macro is missing.
    patterns = releases.questions(releases.present)["_exclude"]
    assert [pattern for pattern in patterns if re.search(r"{%-?\s*(from|import|include)\b", pattern)] == []


def test_what_is_left_out_may_ask_for_an_answer_that_the_old_version_did_not_know(
    update: Update, tmp_path: Path
) -> None:
    template, service = tmp_path / "template", tmp_path / "service"
    shutil.copytree(ROOT / "questions", template / "questions")
    settings = (ROOT / "copier.yml").read_text(encoding="utf-8")
    new = yaml.safe_load(settings)
    asked = {"bundles", "ci", "deployment", "keep", "handed_over"}
    assert asked <= set(re.findall(r"\w+", "".join(new["_exclude"]))) & new.keys()
    kept = {name: value for name, value in new.items() if name not in asked | {"_exclude"}}
    (template / "template").mkdir()
    (template / "template/{{ _copier_conf.answers_file }}.jinja").write_text(
        "{{ _copier_answers | to_nice_yaml -}}\n", encoding="utf-8"
    )
    # Later than every migration.
    for version, text in (("90.1.0", yaml.safe_dump(kept, sort_keys=False)), ("90.2.0", settings)):
        (template / "copier.yml").write_text(text, encoding="utf-8")
        (template / "template/Makefile").write_text(f"# {version}\n", encoding="utf-8")
        commit(template, version)
        git(template, "tag", version)
        if version == "90.1.0":
            copier.run_copy(str(template), service, vcs_ref=version, defaults=True, quiet=True)
            commit(service, "Begin")
    update(service)
    assert (service / "Makefile").read_text(encoding="utf-8") == "# 90.2.0\n"
    assert recorded(service)["keep"] == []


def test_every_question_has_a_default_and_every_pattern_of_ours_is_anchored(releases: Releases) -> None:
    settings = releases.questions(releases.present)
    assert [
        name for name, question in settings.items() if not name.startswith("_") and "default" not in question
    ] == []
    assert [pattern for pattern in settings["_skip_if_exists"] if not pattern.startswith("/")] == []
    assert not {"_tasks", "_jinja_extensions"} & settings.keys()


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_without_the_templates_attributes_a_merged_file_with_crlf_conflicts(
    ends: bytes, service: Path, releases: Releases, update: Callable[..., None]
) -> None:
    project = service / "pyproject.toml"
    (service / ".gitattributes").unlink()
    commit(service)
    project.write_bytes(project.read_bytes().replace(b"\n", ends))
    commit(service)
    update(service, to=releases.following)
    assert bool(git(service, "ls-files", "--unmerged")) is (ends == b"\r\n")
