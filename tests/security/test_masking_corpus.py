"""Every entry of the corpus, alone and inside other text, and the quick look against the full rules."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.masking import Masker

_SCRIPT = Path(__file__).with_name("measure_masking.py")
_SPEC = importlib.util.spec_from_file_location("measure_masking", _SCRIPT)
measure_masking: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(measure_masking)

_CORPUS: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("masking_corpus.yaml").read_text("utf-8").replace("~", "")
)
HIDE = [(entry["text"], tuple(map(str, entry["secrets"]))) for entry in _CORPUS["hide"]]
KEEP = list(_CORPUS["keep"])
MASKER = Masker()

fragments = st.sampled_from([text for text, _ in HIDE] + KEEP)
glue = st.text(st.sampled_from("ab0 19:=@.-_+/\\'\"{}[]<>%&?\n\té"), max_size=8)


@pytest.mark.parametrize(("text", "secrets"), HIDE, ids=[text[:40] for text, _ in HIDE])
def test_a_secret_is_hidden(text: str, secrets: tuple[str, ...]) -> None:
    assert all(secret in text for secret in secrets), (
        "the corpus entry names a secret that its text does not have"
    )
    masked = MASKER.text(text)
    assert [secret for secret in secrets if secret in masked] == []


@pytest.mark.parametrize(
    "around", ["{}", "\n{}\n", "x {} y", "[{}]", "({})", '"{}"', "error: {}", "a=1 {} b=2", "{}\u2028"]
)
def test_a_secret_is_hidden_in_other_text(around: str) -> None:
    leaks = [
        (text, secret)
        for text, secrets in HIDE
        for secret in secrets
        if secret in MASKER.text(around.format(text)) and secret not in around
    ]
    assert leaks == []


@pytest.mark.parametrize("text", KEEP, ids=[text[:40] for text in KEEP])
def test_what_is_no_secret_survives(text: str) -> None:
    assert MASKER.text(text) == text


@given(st.lists(st.tuples(glue, fragments, glue), max_size=4), st.booleans())
@settings(deadline=None)
def test_the_quick_look_misses_nothing_that_the_rules_find(
    parts: list[tuple[str, str, str]], mask_ips: bool
) -> None:
    masker = Masker(mask_ips=mask_ips, sensitive_keys=["employeeNumber"])
    text = "".join("".join(part) for part in parts)
    assert masker.is_suspect(text) or masker.all_rules(text) == text


@given(st.text(st.characters(codec="utf-8"), max_size=60))
@settings(deadline=None)
def test_the_quick_look_misses_nothing_in_any_text(text: str) -> None:
    masker = Masker(mask_ips=True)
    assert masker.is_suspect(text) or masker.all_rules(text) == text


@given(st.data())
@settings(deadline=None)
def test_the_quick_look_misses_nothing_in_pieces_of_secrets(data: st.DataObject) -> None:
    text = data.draw(fragments)
    start = data.draw(st.integers(0, len(text)))
    piece = text[start : data.draw(st.integers(start, len(text)))]
    piece = data.draw(
        st.sampled_from([piece, piece.upper(), piece.lower(), piece.title(), piece.replace(" ", "-")])
    )
    assert MASKER.is_suspect(piece) or MASKER.all_rules(piece) == piece


def test_false_positives_stay_below_the_documented_rates() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "masking.md"
    documented = {
        row.group(1): float(row.group(2)) / 100
        for row in re.finditer(r"^\| ([^|]+?) \| ([0-9.]+) % \|", page.read_text("utf-8"), re.MULTILINE)
    }
    measured = measure_masking.rates(samples=2_000)
    assert documented.keys() == measured.keys()
    assert {kind: rate for kind, rate in measured.items() if rate > documented[kind]} == {}


@given(
    st.lists(st.tuples(glue, fragments, glue) | st.just(("", "", "")), max_size=3), st.integers(), st.floats()
)
@settings(deadline=None)
def test_an_event_is_masked_as_its_fields_are(
    parts: list[tuple[str, str, str]], number: int, fraction: float
) -> None:
    event: dict[str, object] = {f"field_{index}": "".join(part) for index, part in enumerate(parts)}
    event |= {"number": number, "fraction": fraction, "flag": True, "none": None}
    assert MASKER.event(event) == {key: MASKER.value(key, value) for key, value in event.items()}
