"""The statements of a page: its sentences, list items, table rows and examples, each by itself."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Statement", "statements"]

OPENING = 60

_JINJA_LINE = re.compile(
    r"^#%.*$\n?|^[ \t]*\{%.*?%\}[ \t]*$\n?|\{%-? ?(?:if|elif|else|endif|for|endfor)\b.*?%\}", re.MULTILINE
)
_NUMBERS = re.compile(r"<!-- numbers: begin -->.*?<!-- numbers: end -->", re.DOTALL)
_CODE_SPAN = re.compile(r"(`+).+?\1", re.DOTALL)
# A sentence ends where a capital, a code span, an emphasis, a bracket or a quote follows the full stop.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\[(*\"\x00])")


class Statement(NamedTuple):
    """One statement, its white space folded."""

    text: str

    @property
    def key(self) -> str:
        """How the statement begins, and a digest of the whole: a changed statement is another one."""
        opening = self.text if len(self.text) <= OPENING else f"{self.text[:OPENING].rstrip()}..."
        return f"{opening} #{hashlib.sha256(self.text.encode()).hexdigest()[:6]}"


def statements(page: Path) -> list[Statement]:
    """Return the statements of a page in their order, each once. Headings and head rows of tables state nothing.

    The numbers of a benchmark are left out: test_figures_of_pages.py compares them with the run that was kept.
    """
    text = _NUMBERS.sub("", page.read_text(encoding="utf-8"))
    if page.suffix == ".jinja":
        text = _JINJA_LINE.sub("", text)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return list(dict.fromkeys(Statement(" ".join(one.split())) for one in _texts(tokens)))


def _texts(tokens: list[Token]) -> Iterator[str]:
    inside: list[str] = []
    row: list[str] = []
    for token in tokens:
        if token.nesting == 1:
            inside.append(token.type)
        elif token.nesting == -1:
            inside.pop()
            if token.type == "tr_close" and row:
                yield " | ".join(row)
                row = []
        elif token.type in {"fence", "code_block"}:
            yield token.content
        elif token.type == "inline" and "td_open" in inside:
            row.append(token.content)
        elif token.type == "inline" and not {"heading_open", "th_open"} & set(inside):
            yield from _sentences(token.content)


def _sentences(text: str) -> Iterator[str]:
    spans: list[str] = []

    def hide(found: re.Match[str]) -> str:
        spans.append(found[0])
        return f"\0{len(spans) - 1}\0"

    for sentence in _END.split(_CODE_SPAN.sub(hide, text)):
        yield re.sub(r"\0(\d+)\0", lambda found: spans[int(found[1])], sentence)
