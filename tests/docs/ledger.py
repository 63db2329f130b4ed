"""The ledger of claims: which test proves which statement of which page.

``python tests/docs/ledger.py [PAGE ...]`` brings the ledger of these pages (of all) up to date: it adds what is
new with the proof ``"?"``, which the test refuses, and removes what the page no longer says. A statement that is
no claim about behaviour has one of ``NO_CLAIM`` in the place of a test.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from statements import statements

__all__ = ["GENERATED", "NO_CLAIM", "UNPROVEN", "Proofs", "ledger_of", "pages", "read", "update"]

ROOT = Path(__file__).resolve().parents[2]
LEDGERS = Path(__file__).resolve().parent / "claims"

NO_CLAIM: Mapping[str, str] = {
    "instruction": "tells the reader what to do; the test of the page's commands runs it where it can be run",
    "reason": "says why, defines a word, or tells what was decided",
    "pointer": "leads to another page or introduces what follows, which is stated and proven there",
    "elsewhere": "is about a program or a standard that is not ours",
}
UNPROVEN = "unproven: "
"""Begins the reason why a claim has no proof that can run here."""

GENERATED: Mapping[str, str] = {
    "docs/reference/settings.md": "tests/hooks/test_reference.py",
}
"""Pages that a program writes, and the test that holds them to the code."""

Proofs = Mapping[str, str | list[str]]


def pages() -> list[Path]:
    """Return every page whose statements need a proof."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found += (ROOT / "template").glob("*.md.jinja")
    found += (ROOT / "template/docs").rglob("*.md*")
    return sorted(page for page in found if str(page.relative_to(ROOT)) not in GENERATED)


def ledger_of(page: Path) -> Path:
    """Return the ledger of a page."""
    name = str(page.relative_to(ROOT)).removesuffix(".jinja").removesuffix(".md")
    return LEDGERS / f"{name}.yaml"


def read(page: Path) -> Proofs:
    """Return the proofs of a page's statements by their keys."""
    ledger = ledger_of(page)
    return (yaml.safe_load(ledger.read_text(encoding="utf-8")) or {}) if ledger.is_file() else {}


def update(page: Path) -> int:
    """Rewrite the ledger of a page in the page's order. Return how many of its statements have no proof yet."""
    known = read(page)
    proofs = {statement.key: known.get(statement.key, "?") for statement in statements(page)}
    text = yaml.safe_dump(proofs, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=False)
    ledger = ledger_of(page)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    heading = f"# What proves each statement of {page.relative_to(ROOT)}; see tests/docs/ledger.py.\n"
    ledger.write_text(heading + text, encoding="utf-8")
    return sum(proof == "?" for proof in proofs.values())


def main(names: list[str]) -> int:
    """Bring ledgers up to date and say what they lack."""
    for page in [(ROOT / name).resolve() for name in names] or pages():
        missing = update(page)
        sys.stdout.write(f"{missing:5} without a proof: {page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
