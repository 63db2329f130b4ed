"""Every statement of README, SECURITY and docs is proven by a test that exists, or is no claim."""

import ast
from functools import cache
from pathlib import Path

import pytest
from ledger import GENERATED, LEDGERS, NO_CLAIM, ROOT, UNPROVEN, ledger_of, pages, read
from statements import statements


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_statement_has_a_proof(page: Path) -> None:
    proofs = read(page)
    said = {statement.key for statement in statements(page)}
    command = f"python tests/docs/ledger.py {page.relative_to(ROOT)}"
    assert said - proofs.keys() == set(), f"{command} adds these; then name what proves them"
    assert proofs.keys() - said == set(), f"the page no longer says this: {command} removes it"
    wrong = {key: fault for key, proof in proofs.items() for fault in faults(proof)}
    assert wrong == {}


def faults(proof: str | list[str]) -> list[str]:
    """What is wrong with a proof."""
    if isinstance(proof, list):
        return [fault for one in proof for fault in faults(one)] if proof else ["names nothing"]
    if proof in NO_CLAIM or (proof.startswith(UNPROVEN) and proof != UNPROVEN):
        return []
    file, _, name = proof.partition("::")
    if not (ROOT / file).is_file() or not file.startswith("tests/"):
        return [f"{proof!r} names no test file"]
    if not name and file.startswith("tests/bench/"):
        return []
    return [] if name in names_in(file) else [f"{file} has no test {name!r}"]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_no_ledger_is_without_a_page() -> None:
    assert set(LEDGERS.rglob("*.yaml")) == {ledger_of(page) for page in pages()}


def test_a_generated_page_is_held_to_the_code() -> None:
    assert all((ROOT / page).is_file() and names_in(test) for page, test in GENERATED.items())


@pytest.mark.parametrize(
    "proof",
    [
        "?",
        "",
        [],
        "unproven: ",
        "tests/docs/none.py::test_it",
        "tests/docs/test_claims.py",
        "tests/docs/test_claims.py::test_that_is_not_there",
        "hooks/checks.py::main",
        ["instruction", "?"],
    ],
)
def test_what_is_no_proof_is_refused(proof: str | list[str]) -> None:
    assert faults(proof)


def test_a_page_is_split_into_what_it_states(tmp_path: Path) -> None:
    page = tmp_path / "page.md.jinja"
    page.write_text(
        "# No statement\n\nOne sentence,\nfolded. Two, see `a. B` and v1.2. `three`: yes.\n"
        "{% if x %}\n\n- item\n{% endif %}\n\n"
        "| head | row |\n| --- | --- |\n| a | b |\n\n    code here\n",
        encoding="utf-8",
    )
    assert [statement.text for statement in statements(page)] == [
        *("One sentence, folded.", "Two, see `a. B` and v1.2.", "`three`: yes.", "item", "a | b", "code here")
    ]


def test_a_changed_statement_is_another(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    keys = set()
    for end in ("more.", "less."):
        page.write_text("A long statement " * 5 + end, encoding="utf-8")
        keys |= {statement.key for statement in statements(page)}
    assert len(keys) == len({key.partition(" #")[2] for key in keys}) == 2
    assert len({key.partition(" #")[0] for key in keys}) == 1
