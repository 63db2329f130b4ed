"""Exposition: Prometheus text 0.0.4 and OpenMetrics 1.0, chosen by the Accept header.

Our own and not prometheus-client's, because series are kept rendered (5,000 take 5 ms, not 150), and
because that library's `choose_encoder` repeats the client's own version in the answer and fails on
`version=1.x`.
"""

import math
from collections.abc import Iterable

from chassis.metrics.families import Exemplar, Family

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPENMETRICS_VERSIONS = frozenset({"", "0.0.1", "1.0.0"})

# Types that the older format lacks, under the name and the suffix that it gives them.
_TEXT_TYPES = {"info": "gauge", "stateset": "gauge", "unknown": "untyped", "gaugehistogram": "untyped"}
_TEXT_SUFFIXES = {"counter": "_total", "info": "_info"}


def expose(families: Iterable[Family], accept: str | None) -> tuple[bytes, str]:
    """Return the body and its content type."""
    if _wants_openmetrics(accept or ""):
        return _openmetrics(families), OPENMETRICS
    return _text(families), TEXT


def _wants_openmetrics(accept: str) -> bool:
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        options = dict(parameter.partition("=")[::2] for parameter in parameters)
        versions_known = (
            media != "application/openmetrics-text" or options.get("version", "") in _OPENMETRICS_VERSIONS
        )
        if media in best and versions_known:
            best[media] = max(best[media], _quality(options.get("q", "1")))
    return (
        best["application/openmetrics-text"] > 0
        and best["application/openmetrics-text"] >= best["text/plain"]
    )


def _quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _text(families: Iterable[Family]) -> bytes:
    lines: list[str] = []
    for family in families:
        name = family.name + _TEXT_SUFFIXES.get(family.type, "")
        documentation = family.help.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(
            f"# HELP {name} {documentation}\n# TYPE {name} {_TEXT_TYPES.get(family.type, family.type)}\n"
        )
        lines.extend(f"{key} {_number(value)}\n" for key, value in family.samples.items())
    return "".join(lines).encode()


def _openmetrics(families: Iterable[Family]) -> bytes:
    lines: list[str] = []
    for family in families:
        documentation = family.help.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        lines.append(f"# HELP {family.name} {documentation}\n# TYPE {family.name} {family.type}\n")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}\n")
        exemplars = family.exemplars
        for key, value in family.samples.items():
            exemplar = exemplars.get(key)
            lines.append(f"{key} {_number(value)}{_exemplar(exemplar) if exemplar else ''}\n")
    lines.append("# EOF\n")
    return "".join(lines).encode()


def _exemplar(exemplar: Exemplar) -> str:
    return f" # {{{exemplar.labels}}} {_number(exemplar.value)} {exemplar.timestamp:.3f}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
