"""Every entry of the corpus, alone and inside other text, and the quick look against the full rules."""

import importlib.util
import re
import string
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
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


class NaiveMasker(Masker):
    """Applies every rule to every text: no look before, nothing remembered."""

    def text(self, value: str) -> str:
        return self.all_rules(value)

    def event(self, event: Mapping[str, object]) -> dict[str, object]:
        return {self.text(key): self.value(key, value) for key, value in event.items()}


KEYS = [
    *("path", "client", "note", "user_agent", "order_id", "token_count", "max_tokens", "request_id", "cause"),
    *("password", "apiKey", "Authorization", "session", "employee_number", "ann@example.com"),
]
GLUE = [
    *" /:=-_.,;@%+&?'\"<>()",
    " ",
    "  ",
    "\n",
    "%20",
    "=> ",
    ": ",
    "é",
    "\u00a0",
    "a",
    "0",
    "Bearer ",
    "",
    "",
]
ALPHABETS = [
    string.digits,
    "0123456789abcdef",
    string.ascii_letters + string.digits + "-_.",
    " -./0123456789",
]


def generated_text(random: Random, sources: list[str]) -> str:
    parts = []
    for _ in range(random.choice([1, 1, 2, 3])):
        if random.random() < 0.15:
            parts.append("".join(random.choices(random.choice(ALPHABETS), k=random.randrange(1, 40))))
            continue
        source = random.choice(sources)
        start = random.choice([0, 0, random.randrange(len(source))])
        piece = source[start : start + random.choice([5, 12, 20, 40, 200])]
        if random.random() < 0.1:
            piece = random.choice([str.upper, str.lower, str.title])(piece)
        parts += piece, random.choice(GLUE)
    return "".join(parts)


def generated_event(random: Random, sources: list[str]) -> dict[str, object]:
    event: dict[str, object] = {random.choice(KEYS): generated_text(random, sources)}
    for _ in range(random.choice([0, 1, 1])):
        value: object = generated_text(random, sources)
        if random.random() < 0.2:
            value = random.choice(
                [random.getrandbits(60), random.random(), None, True, [value], {"a": value}]
            )
        event[random.choice(KEYS)] = value
    return event


@pytest.mark.parametrize("seed", range(8))
def test_masking_100_000_events_gives_what_the_naive_form_gives(seed: int) -> None:
    random = Random(seed)
    sources = [text for text, _ in HIDE] + KEEP
    options: dict[str, Any] = {"mask_ips": seed % 4 == 3, "sensitive_keys": ["employeeNumber"]}
    masker, naive = Masker(**options), NaiveMasker(**options)
    changed = 0
    for _ in range(12_500):
        event = generated_event(random, sources)
        expected = naive.event(event)
        assert masker.event(event) == expected
        changed += expected != event
    # Without enough of both kinds the comparison would say little.
    assert 2_500 < changed < 10_500


def test_false_positives_stay_below_the_documented_rates() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "masking.md"
    documented = {
        row.group(1): float(row.group(2)) / 100
        for row in re.finditer(r"^\| ([^|]+?) \| ([0-9.]+) % \|", page.read_text("utf-8"), re.MULTILINE)
    }
    measured = measure_masking.rates(samples=2_000)
    assert documented.keys() == measured.keys()
    assert {kind: rate for kind, rate in measured.items() if rate > documented[kind]} == {}


def test_the_measured_rates_are_those_of_the_page() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs/reference/masking.md").read_text("utf-8").split())
    measured = measure_masking.rates(samples=10_000)
    found = re.search(
        r"with ([0-9,]+) samples of each kind: snowflake ids ([0-9.]+) %, random 16 digits ([0-9.]+) %,"
        r" all others 0, over all kinds ([0-9.]+) %",
        page,
    )
    assert found is not None
    samples, *told = found.groups()
    named = [measured.pop(kind) for kind in ("snowflake id (18 or 19 digits)", "random 16 digits", "all")]
    assert (samples, told) == ("10,000", [f"{rate * 100:.2f}" for rate in named])
    assert set(measured.values()) == {0}


def test_the_program_prints_the_rate_of_each_kind() -> None:
    done = subprocess.run([sys.executable, _SCRIPT, "10"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line[:35].rstrip() for line in lines] == [*measure_masking.KINDS, "all"]
    assert all(re.fullmatch(r" +[0-9.]+%", line[35:]) for line in lines)


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
