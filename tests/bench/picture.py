"""The picture of the documentation: what a request costs against bare FastAPI, as an SVG file."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from figures import Figure

_MEASURES = ("instructions, hello-world", "in-process, hello-world", "sockets, server CPU")
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 170, 90, 18, 6
_TITLE, _AXIS = 34, 20
_SCALE = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_INK, _KEPT, _OVER, _OTHER = "#1f2328", "#2da44e", "#e16f24", "#8c959f"


def draw(figures: Sequence[Figure]) -> str:
    """Return the picture: a bar for each subject, a mark at its budget. Each step of the scale doubles."""
    parts: list[str] = []
    top = 10
    for measure in _MEASURES:
        found = [figure for figure in figures if figure.measure == measure]
        if found:
            panel, top = _panel(measure, found, top)
            parts += panel
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        "<title>Cost of a request against bare FastAPI</title>\n"
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def position(value: float) -> float:
    """Return where a ratio stands, 0 to 1: even up to 1, then each doubling is one more step."""
    steps = len(_SCALE) - 1
    for step, (low, high) in enumerate(pairwise(_SCALE)):
        if value <= high:
            return (step + (value - low) / (high - low)) / steps
    return 1.0


def _panel(measure: str, figures: Sequence[Figure], top: int) -> tuple[list[str], int]:
    parts = [_text(10, top + 18, f"{measure}: bare FastAPI = 1, a mark at the budget", weight="600")]
    first = top + _TITLE
    last = first + len(figures) * (_BAR + _GAP)
    for value in _SCALE:
        x = _x(value)
        parts += [
            f'<line x1="{x:.1f}" y1="{first - 4}" x2="{x:.1f}" y2="{last}" stroke="#d0d7de"/>',
            _text(x, last + 14, f"{value:g}", anchor="middle"),
        ]
    for number, figure in enumerate(figures):
        parts += _bar(figure, first + number * (_BAR + _GAP))
    return parts, last + _AXIS + 10


def _bar(figure: Figure, y: int) -> list[str]:
    color = {True: _KEPT, False: _OVER, None: _OTHER}[figure.within]
    end = _x(figure.value)
    parts = [
        _text(_LEFT - 8, y + 13, figure.subject, anchor="end"),
        f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT:.1f}" height="{_BAR}" fill="{color}"/>',
        _text(end + 6, y + 13, f"{figure.value:.2f}"),
    ]
    if figure.budget is not None:
        mark = _x(figure.budget)
        parts.append(
            f'<line x1="{mark:.1f}" y1="{y - 2}" x2="{mark:.1f}" y2="{y + _BAR + 2}" '
            f'stroke="{_INK}" stroke-width="2"/>'
        )
    return parts


def _x(value: float) -> float:
    return _LEFT + position(value) * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{_INK}">'
        f"{escape(text)}</text>"
    )
