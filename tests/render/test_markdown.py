"""The rendered Markdown looks as it was written: nothing sticks to the paragraph before it."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

# What a line is, by its beginning; what follows a list item belongs to it when it is indented.
KINDS = {
    "blank": re.compile(r"\s*$"),
    "comment": re.compile(r"<!--.*-->$"),
    "heading": re.compile(r"#{1,6} "),
    "table": re.compile(r"\|"),
    "list": re.compile(r"\s*([-*+]|\d+[.)]) "),
    "indented": re.compile(r"\s"),
    "text": re.compile(""),
}
MAY_TOUCH = {("comment", "heading"), ("list", "indented"), ("indented", "list")}


def glued(text: str) -> list[str]:
    """The lines that need a blank line before them and have none."""
    return [
        line
        for (before, _), (kind, line) in pairwise(kinds(text))
        if before != kind and "blank" not in (before, kind) and (before, kind) not in MAY_TOUCH
    ]


def kinds(text: str) -> Iterator[tuple[str, str]]:
    """Each line with its kind; a block between fences is one line of text."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            if fenced:
                yield ("indented" if line[0] == " " else "fence"), line
        elif not fenced:
            yield next(kind for kind, form in KINDS.items() if form.match(line)), line


def test_no_block_sticks_to_another(service: Path, own_files: Callable[[Path], dict[str, Path]]) -> None:
    wrong = {}
    for path, file in own_files(service).items():
        if path.endswith(".md"):
            wrong[path] = glued(file.read_text(encoding="utf-8"))
    assert {"README.md", "SECURITY.md"} <= wrong.keys()
    assert {path: lines for path, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        'It\'s "100 % $HOME `id`" \\ {{ x }} {% y %} #% z: [a, b] & <b> | é 🚀 ${A} $(B)',
        *("**bold** _and_ ~~struck~~ [link](to) <a@b.cd> &amp; ![x]", "# 1", "1. first", "2) second"),
        *("- one", "+ two", "> said", "=== ===", "--- ---", "```code```", "a | b"),
    ],
)
def test_the_readme_shows_what_was_answered_as_it_was_given(text: str, render: Callable[..., Path]) -> None:
    service = render(library=False, description=text, team=text[:60].strip(), service_name=text[:60].strip())
    page = (service / "README.md").read_text(encoding="utf-8")
    shown = [
        "".join(child.content for child in token.children or ())
        for token in MarkdownIt("commonmark").enable("table").parse(page)
        if token.type == "inline"
    ]
    assert shown[:2] == [text[:60].strip(), text]
    assert shown[2] == f"Owned by {text[:60].strip()} (platform@example.com)."


@pytest.mark.parametrize(
    "text",
    ["words\n| a |", "- one\n## Next", "1. one\n## Next", "words\n- one", "- one\nwords", "words\n    code"],
)
def test_what_sticks_is_found(text: str) -> None:
    assert glued(text) == [text.splitlines()[1]]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- whose -->\n# Title\n\nwords\nwords\n\n- one\n  more\n- two\n\n| a |\n| - |\n\n## Next",
        "words\n\n```\n# no heading\n| no table\n```\n\nwords",
        "1. words\n\n   ```\n   - no list\n   ```\n2. words",
    ],
)
def test_what_stands_alone_is_left_in_peace(text: str) -> None:
    assert glued(text) == []
