"""Sensitive names in any spelling, any value, any depth; texts of any length; never an exception."""

import enum
import re
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from chassis.masking import Masker, assignments, hide, is_sensitive_key, mask_text, numbers, tokens
from chassis.masking.keys import PHRASES, STEMS, TEXT_WORDS, WORDS
from chassis.masking.masker import LONGEST_TEXT, MOST_ITEMS
from chassis.masking.numbers import is_card, is_iban
from chassis.pattern import LazyPattern

MASKER = Masker()
SECRET = "value-of-the-secret-ue"
HIDDEN = "va***ue"


def words(text: str) -> list[str]:
    return text.split()


class Colour(enum.Enum):
    RED = "red"


class Name(enum.StrEnum):
    ANN = "ann@example.com"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class User:
    name: str
    password: str


class Account(BaseModel):
    email: str
    api_key: str
    token: SecretStr


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BrokenMapping(dict[str, object]):
    def items(self) -> Any:
        raise RuntimeError("no items")


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [
        ("", "***"),
        ("a", "***"),
        ("1234567", "***"),
        ("12345678", "12***78"),
        (SECRET, HIDDEN),
        (HIDDEN, HIDDEN),
        ("***", "***"),
    ],
)
def test_a_secret_keeps_two_characters_at_each_end_or_none(secret: str, hidden: str) -> None:
    assert hide(secret) == hidden


@pytest.mark.parametrize(
    "key",
    words(
        "password PASSWORD Password userPassword user_password user-password user.password dbpassword"
        " passwd pwd DB_PWD passphrase secret secrets clientSecret client-secret CLIENT_SECRET token"
        " accessToken refresh_token idToken id-token authToken xAuthToken apikey apiKey api_key API-KEY"
        " APIKey X-Api-Key XAPIKEY api.key authorization Proxy-Authorization auth cookie Cookies Set-Cookie"
        " session sessionId JSESSIONID PHPSESSID session_key ssn SSN userSSN"
        " social_security_number creditCard credit-card-number cardNumber card_no cvv CVV2 cvc pin PIN"
        " card-pin privateKey private_key PRIVATE-KEY secretKey aws_secret_access_key accessKeyId"
        " signing_key jwt bearer otp iban accountNumber routing-number sort_code credential credentials"
        " passwordHash password_confirmation new_password csrfToken X-CSRF-Token xsrf signature sig"
        " connectionString phone phoneNumber telephone msisdn dateOfBirth dob passport taxId"
        " drivers_license driver_license recovery_codes verification_code kennwort contrasena token2 oauth2Token"
        " x.api.key passcode csrf account_key encryptionKey master-key shared_key sshKey license_key"
    ),
)
def test_a_sensitive_key_is_known_in_any_spelling(key: str) -> None:
    assert is_sensitive_key(key)
    assert MASKER.value(key, SECRET) == HIDDEN


@pytest.mark.parametrize(
    "key",
    words(
        "user author authority authenticated tokenizer token_count tokenCount token_type tokens_used"
        " password_policy password_length passwordExpired passwordless cookie_name session_count"
        " session_timeout secretary secret_name primary_key primaryKey foreign_key public_key cache_key"
        " partition_key key keyboard keys monkey id request_id trace_id status code pinned mapping"
        " spinner opinion passenger compass bypass cardinal discard tokenize signal design assigned"
        " costs phone_model pin_status token_url authorization_endpoint cookie_max_age credential_type"
        " auth_method method path route event name description"
    ),
)
def test_a_harmless_key_is_left_alone(key: str) -> None:
    assert not is_sensitive_key(key)
    assert MASKER.value(key, "some plain value") == "some plain value"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_tokens", 4096),
        ("prompt_tokens", 12),
        ("active_sessions", 3),
        ("has_password", True),
        ("is_token_valid", False),
        ("requires_otp", True),
        ("temperature_tokens", 0.5),
        ("tokens", 5),
        ("sessions", 5),
        ("pass", 5),
    ],
)
def test_counts_and_flags_survive_under_keys_that_count(key: str, value: object) -> None:
    assert MASKER.value(key, value) == value
    assert MASKER.text(f"{key}={value} x") == f"{key}={value} x"


@pytest.mark.parametrize("key", ["tokens", "prompt_tokens", "sessions", "pass", "max_tokens", "has_password"])
def test_text_under_keys_that_count_is_masked(key: str) -> None:
    assert MASKER.value(key, SECRET) == HIDDEN
    assert MASKER.text(f"{key}={SECRET}") == f"{key}={HIDDEN}"


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (1234567890, "12***90"),
        (1234, "***"),
        (True, "***"),
        (1.5, "***"),
        (b"value-of-the-secret-ue", HIDDEN),
        (bytearray(b"value-of-the-secret-ue"), HIDDEN),
        ({"a": "b"}, "***"),
        (["a", "b"], "***"),
        (("a",), "***"),
        ({"a"}, "***"),
        (None, None),
        (SecretStr("x"), "Se***')"),
        (Broken(), "<B***r>"),
    ],
)
def test_any_value_under_a_sensitive_key_is_masked(value: object, hidden: object) -> None:
    assert MASKER.value("password", value) == hidden


def test_sensitive_keys_are_found_at_any_depth() -> None:
    event = {"a": [{"b": ({"Api-Key": SECRET},)}], "m": MappingProxyType({"c": OrderedDict(token=SECRET)})}
    assert MASKER.event(event) == {"a": [{"b": [{"Api-Key": HIDDEN}]}], "m": {"c": {"token": HIDDEN}}}


@pytest.mark.parametrize("pair", [("authorization", SECRET), [b"Authorization", b"value-of-the-secret-ue"]])
def test_pairs_of_name_and_value_count_as_fields(pair: object) -> None:
    assert MASKER.value("headers", [pair])[0][1] == HIDDEN  # type: ignore[index]


class Login(NamedTuple):
    user: str
    password: str


class Header(NamedTuple):
    name: str
    value: str


def test_the_names_of_a_named_tuple_count_as_fields() -> None:
    event = {"tried": [Login("bob", SECRET)], "sent": Header("authorization", SECRET)}
    assert MASKER.event(event) == {
        "tried": [{"user": "bob", "password": HIDDEN}],
        "sent": ["authorization", HIDDEN],
    }


def test_own_keys_are_added_in_any_spelling() -> None:
    masker = Masker(sensitive_keys=["employeeNumber", ""])
    assert masker.event({"employee_number": SECRET, "EMPLOYEE-NUMBER": SECRET, "employeenumber": SECRET}) == {
        "employee_number": HIDDEN,
        "EMPLOYEE-NUMBER": HIDDEN,
        "employeenumber": HIDDEN,
    }
    assert masker.text(f"employee number: {SECRET}") == f"employee number: {HIDDEN}"
    assert masker.value("employee", SECRET) == SECRET


def test_signs_alone_are_no_name() -> None:
    assert not is_sensitive_key("--__")
    assert MASKER.value("", "x") == "x"


def test_more_names_than_are_remembered_are_still_judged() -> None:
    masker = Masker()
    for number in range(5000):
        assert masker.event({f"field{number}x": 1, f"x{number}_password": 1}) == {
            f"field{number}x": 1,
            f"x{number}_password": "***",
        }
    assert masker.is_sensitive_key("password" * 100)
    assert masker.event({"x" * 300: "y"}) == {"x" * 300: "y"}


def test_an_element_that_is_no_secret_survives() -> None:
    text = "<name>bob</name><tokens>12</tokens><password> </password>"
    assert MASKER.text(text) == text


def test_dataclasses_and_models_are_masked_in_their_repr() -> None:
    assert SECRET not in str(MASKER.value("user", User("ann", SECRET)))
    shown = str(
        MASKER.value("account", Account(email="ann@example.com", api_key=SECRET, token=SecretStr(SECRET)))
    )
    assert SECRET not in shown
    assert "ann@" not in shown


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC), "2026-11-20T01:02:03+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.50"), "1.50"),
        (PurePosixPath("/etc/x"), "/etc/x"),
        (Colour.RED, "red"),
        (Level.HIGH, "3"),
        (b"a\xff", "a\\xff"),
        (memoryview(b"ab"), "ab"),
        (range(3), "range(0, 3)"),
        (deque([1, 2]), [1, 2]),
        (frozenset([1]), [1]),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (1.5, 1.5),
        (7, 7),
        (10**12, 10**12),
        (None, None),
        (ValueError("x"), "ValueError('x')"),
        (Broken(), "<Broken whose repr raised RuntimeError>"),
        (BrokenMapping(a=1), "<BrokenMapping that raised RuntimeError>"),
    ],
)
def test_every_value_becomes_plain(value: object, plain: object) -> None:
    assert MASKER.value("field", value) == plain


def test_an_integer_too_long_to_print_is_described() -> None:
    assert MASKER.value("field", 10**5000) == "<int of 16610 bits>"


@pytest.mark.parametrize("key", ["pass\u200bword", "\ufeffpassword", "pass\u00adword", "api\u2060Key"])
def test_what_nobody_sees_in_a_name_is_no_part_of_it(key: str) -> None:
    assert is_sensitive_key(key)


def test_letters_of_full_width_are_letters() -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "password")
    assert is_sensitive_key(wide)


def test_text_inside_other_values_is_masked() -> None:
    assert MASKER.value("field", Name.ANN) == "an***om"
    assert MASKER.value("field", b"ann@example.com") == "an***om"
    assert MASKER.value("field", 4111111111111111) == "41***11"
    assert MASKER.value("field", ValueError("ann@example.com")) == "ValueError('an***om')"


def test_field_names_are_masked_too() -> None:
    assert MASKER.event({"ann@example.com": 1, "by": {"bob@example.com": {5: 6}}}) == {
        "an***om": 1,
        "by": {"bo***om": {"5": 6}},
    }


def test_circles_depth_and_size_are_bounded() -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle
    assert MASKER.event({"c": circle}) == {"c": {"self": "<circular>"}}
    deep: object = 1
    for _ in range(50):
        deep = [deep]
    assert "<nested too deep>" in str(MASKER.value("d", deep))
    items = MASKER.value("l", list(range(5000)))
    assert isinstance(items, list)
    assert items[MOST_ITEMS:] == ["... 4000 more"]
    wide = MASKER.value("m", {str(number): number for number in range(5000)})
    assert isinstance(wide, dict)
    assert wide["..."] == "4000 more"
    assert len(str(MASKER.value("n", [list(range(1000))] * 1000))) < 200_000


def test_12_levels_1000_items_and_10_000_values_are_kept() -> None:
    def nested(levels: int) -> object:
        return [nested(levels - 1)] if levels else "in"

    def count(value: object) -> int:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return sum(1 + count(one) for one in inside if not isinstance(one, str))

    assert "in" in str(MASKER.value("d", nested(12)))
    assert "in" not in str(MASKER.value("d", nested(13)))
    assert MASKER.value("l", list(range(1000))) == list(range(1000))
    assert MASKER.value("l", [0] * 1001) == [*[0] * 1000, "... 1 more"]
    fields = {"a": [[0] * 999] * 6, "b": [[0] * 999] * 6}
    assert count(MASKER.event(fields)) == len(fields) + 10_000


def test_the_same_container_twice_is_no_circle() -> None:
    shared = {"a": 1}
    assert MASKER.event({"x": shared, "y": [shared, shared]}) == {"x": shared, "y": [shared, shared]}


def test_an_open_bracket_hides_the_rest_of_the_text() -> None:
    assert MASKER.text("token: [1, 2 and x") == "token: ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("hunter2", "hunter2"),
        ("the password is hunter2", "the password is hunter2"),
        ("call 5551234567 or 212 555 0134", "call 5551234567 or 212 555 0134"),
        ("Jane Doe, 12 Main Street, Springfield", "Jane Doe, 12 Main Street, Springfield"),
        ("passphrase: correct horse battery", "passphrase: *** horse battery"),
        ("git@example.com", "git@example.com"),
        ("pass\u200bword=hunter2abc", "pass\u200bword=hunter2abc"),
        ("\uff50\uff57\uff44=hunter2abc", "\uff50\uff57\uff44=hunter2abc"),
        (r'{"pass\u0077ord": "hunter2abc"}', r'{"pass\u0077ord": "hunter2abc"}'),
        ("?pass%2577ord=hunter2abc", "?pass%2577ord=hunter2abc"),
        ('"{""password"": ""hunter2abc""}"', '"{""password"": ""hunter2abc""}"'),
        ("password[]=hunter2abc", "password[]=hunter2abc"),
        ('{"name": "password", "value": "hunter2abc"}', '{"name": "password", "value": "hunter2abc"}'),
        ('<add key="password" value="hunter2abc"/>', '<add key="password" value="hunter2abc"/>'),
    ],
)
def test_what_is_documented_as_not_found_is_not(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_a_private_key_in_base64_is_hidden_to_the_end_of_its_line() -> None:
    line = "LS0tLS1CRU" + "dJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUV2UUlCQURB"
    assert MASKER.text(f"key {line}\nTkJna3Fo") == "key LS***RB\nTkJna3Fo"


def test_the_examples_of_the_documentation() -> None:
    assert mask_text("mail to ann@example.com") == "mail to an***om"
    masker = Masker(mask_ips=True, sensitive_keys=["badge"])
    assert masker.event({"badge": "A-1234567"}) == {"badge": "A-***67"}


def test_addresses_are_masked_by_a_setting_alone() -> None:
    text = (
        "from 192.168.1.10:80, [2001:db8::1]:443, ::ffff:10.0.0.1 and fe80::1: "
        "at 14:31:00 in v1.2.3.4 std::x :: 1.2.3.400"
    )
    assert mask_text(text) == text
    masked = Masker(mask_ips=True).text(text)
    assert not any(address in masked for address in ("192.168.1.10", "2001:db8::1", "10.0.0.1", "fe80::1"))
    assert masked.endswith("at 14:31:00 in v1.2.3.4 std::x :: 1.2.3.400")


def test_default_functions_do_not_mask_plain_text() -> None:
    assert mask_text("nothing here") == "nothing here"


@pytest.mark.parametrize(
    "secret",
    [
        "4111 1111 1111 1111",
        "ann@example.com",
        "password='" + "s3cr3t " * 500 + "'",
        "sk_li" + "ve_" + "a1" * 1000,
    ],
)
def test_a_secret_across_the_cut_of_a_long_text_does_not_leak(secret: str) -> None:
    part = secret[len(secret) // 3 : len(secret) // 3 * 2]
    for place in (LONGEST_TEXT, LONGEST_TEXT + 4096):
        for shift in range(0, len(secret), max(1, len(secret) // 4)):
            text = "x " * ((place - shift) // 2) + secret + " y" * 5000
            masked = MASKER.text(text)
            assert part not in masked
            assert masked.endswith(f"[{len(text) - LONGEST_TEXT} characters cut]")
            assert len(masked) <= LONGEST_TEXT + 100


def test_a_long_text_at_the_limit_is_whole() -> None:
    assert MASKER.text("x" * 65_536) == "x" * 65_536
    assert MASKER.text("x" * 65_537).endswith("x... [1 characters cut]")


def test_a_private_key_in_a_text_that_is_cut_does_not_leak() -> None:
    text = "x " * 30_000 + "-----BEGIN PRIV" + "ATE KEY-----\n" + "MIIEabc\n" * 20_000
    assert "MIIE" not in MASKER.text(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(Broken),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
        ),
        max_leaves=20,
    )
)
@settings(deadline=None)
def test_masking_never_raises_and_gives_plain_values(value: object) -> None:
    def is_plain(found: object) -> bool:
        if isinstance(found, dict):
            return all(type(key) is str and is_plain(item) for key, item in found.items())
        if isinstance(found, list):
            return all(map(is_plain, found))
        return found is None or type(found) in {str, int, float, bool}

    assert is_plain(MASKER.value("field", value))


@given(st.text())
@settings(deadline=None)
def test_masking_any_text_never_raises(text: str) -> None:
    assert isinstance(Masker(mask_ips=True).all_rules(text), str)


@given(st.text(st.characters(codec="ascii", exclude_characters="\"'\\`"), min_size=8))
@settings(deadline=None)
def test_a_quoted_password_is_hidden_whatever_it_is(password: str) -> None:
    masked = MASKER.text(f'{{"password": "{password}", "next": 1}}')
    assert masked.startswith('{"password": "')
    assert password not in masked or len(set(password)) == 1
    assert masked.endswith('", "next": 1}')


@given(st.from_regex(r"[A-Za-z0-9!$%^*_+|~.\-]{12,40}", fullmatch=True))
@settings(deadline=None)
def test_a_plain_password_is_hidden_whatever_it_is(password: str) -> None:
    for text in (f"password={password} next", f"?password={password}&x=1", f"db://u:{password}@h/x"):
        assert password[2:-2] not in MASKER.text(text)


@given(st.integers(0, 10**11 - 1), st.sampled_from(["4000", "5100", "2221", "6011", "3528"]))
@settings(deadline=None)
def test_a_right_check_digit_makes_a_card_and_a_wrong_one_does_not(body: int, prefix: str) -> None:
    digits = f"{prefix}{body:011d}"
    cards = [digits + str(check) for check in range(10) if is_card(digits + str(check))]
    assert len(cards) == 1
    assert MASKER.text(f"n {cards[0]} n") == f"n {hide(cards[0])} n"


@pytest.mark.parametrize(
    "digits", ["1234567890128", "4111111111111111111111", "9999999999999995", "411111111111111"]
)
def test_digits_without_scheme_or_length_are_no_card(digits: str) -> None:
    assert not is_card(digits)


def test_ibans_are_checked_by_country_length_and_mod_97() -> None:
    assert is_iban("DE89370400440532013000")
    assert is_iban("mt84malt011000012345mtlcast001s")
    assert not is_iban("DE8937040044053201300")
    assert not is_iban("ZZ89370400440532013000")
    assert not is_iban("DE88370400440532013000")


@pytest.mark.parametrize(
    "name", sorted(STEMS | WORDS | TEXT_WORDS | {" ".join(phrase) for phrase in PHRASES})
)
def test_every_sensitive_name_is_found_in_text(name: str) -> None:
    for text in (f"{name}={SECRET}", f"the {name}: {SECRET} x", f"{name.replace(' ', '_')}%3D{SECRET}"):
        assert SECRET not in MASKER.text(text)


@pytest.mark.parametrize(("prefix", "rest"), [*tokens._MARKED, *tokens._PLAIN])
def test_every_token_has_a_sign_of_the_quick_look(prefix: str, rest: str) -> None:
    slash_ends_the_run = "/" in rest and len(prefix) < 13
    shortest = vars(re)["_parser"].parse(prefix + rest).getwidth()[0]
    assert shortest >= 13
    assert not slash_ends_the_run or prefix.startswith(("whsec_", "glc_", "sntry"))


@pytest.mark.parametrize(
    "text",
    [
        "0af7651916cd43dd8448eb211c80319c",
        "00f067aa0ba902b7",
        "/items/42",
        "/orders/4711/lines",
        "203.0.113.7",
        "order placed",
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
    ],
)
def test_what_most_log_lines_hold_is_proved_clean_at_a_look(text: str) -> None:
    assert not MASKER.is_suspect(text)


@pytest.mark.parametrize("text", ["4111111111111111", "be68539007547034", "378282246310005"])
def test_an_id_that_could_be_a_number_of_a_person_is_looked_at(text: str) -> None:
    assert MASKER.is_suspect(text)
    assert MASKER.text(text) == MASKER.all_rules(text) != text


def test_a_clean_text_meets_no_rule_and_a_second_time_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    masker = Masker()
    monkeypatch.setattr(masker, "_present_rules", None)
    assert masker.text("order placed") == "order placed"
    monkeypatch.setattr(masker, "is_suspect", None)
    assert masker.text("order placed") == "order placed"
    assert masker.event({"order placed": "order placed"}) == {"order placed": "order placed"}


@pytest.mark.parametrize(
    ("text", "masked", "rules"),
    [
        ("ann@example.com", "an***om", ["present_tokens", "present_numbers"]),
        ("pin=12345678", "pin=12***78", ["assignments", "present_tokens", "present_numbers"]),
        ("x://a:hunter2hunter2@b", "x://a:hu***r2@b", None),
    ],
)
def test_a_suspicious_text_meets_the_rules_of_its_signs(
    monkeypatch: pytest.MonkeyPatch, text: str, masked: str, rules: list[str] | None
) -> None:
    called = []

    def spy(module: ModuleType, name: str) -> None:
        rule = getattr(module, f"mask_{name}")

        def noted(*arguments: Any, **options: Any) -> str:
            called.append(name)
            return rule(*arguments, **options)

        monkeypatch.setattr(module, f"mask_{name}", noted)

    spy(tokens, "private_keys")
    spy(tokens, "present_tokens")
    spy(assignments, "url_passwords")
    spy(assignments, "assignments")
    spy(numbers, "present_numbers")
    spy(numbers, "addresses")
    assert Masker().text(text) == masked
    assert called == (rules or ["url_passwords", "assignments", "present_tokens", "present_numbers"])


def test_a_masker_forgets_clean_texts_and_names_before_they_are_too_many() -> None:
    masker = Masker()
    for number in range(10_000):
        assert masker.text(f"text {number}") == f"text {number}"
        assert masker.event({"a": f"value {number}"}) == {"a": f"value {number}"}
        assert masker.event({"a": f"{number}a", "b": f"{number}b", "c": f"{number}c"})
        assert masker.event({f"name{number}": 1}) == {f"name{number}": 1}
        assert len(masker._clean) <= 2_048
        assert len(masker._harmless) <= 4_096
    assert masker.text("x" * 300) == "x" * 300
    assert "x" * 300 not in masker._clean


def test_the_value_of_a_query_is_hidden_by_its_name() -> None:
    assert MASKER.text("/callback?sid=abcdefgh1234&x=1") == "/callback?sid=ab***34&x=1"


def _patterns(module: ModuleType) -> Iterator[tuple[str, re.Pattern[str]]]:
    return (
        (name, value) for name, value in vars(module).items() if isinstance(value, re.Pattern | LazyPattern)
    )


def _loops(tree: Any) -> Iterator[tuple[str, int]]:
    """Yield every loop that can give back characters, with how often it can."""
    for operation, arguments in tree:
        if str(operation) in {"MAX_REPEAT", "MIN_REPEAT"}:
            yield str(operation), int(arguments[1]) - int(arguments[0])
        yield from _inner_loops(arguments)


def _inner_loops(arguments: Any) -> Iterator[tuple[str, int]]:
    if hasattr(arguments, "data"):
        yield from _loops(arguments.data)
    elif isinstance(arguments, (tuple, list)):
        for argument in arguments:
            yield from _inner_loops(argument)


@pytest.mark.parametrize("module", ["assignments", "look", "masker", "numbers", "tokens"])
def test_no_pattern_can_backtrack_far(module: str) -> None:
    parse = vars(re)["_parser"].parse
    patterns = list(_patterns(sys.modules[f"chassis.masking.{module}"]))
    assert patterns
    for name, pattern in patterns:
        loops = list(_loops(parse(pattern.pattern, pattern.flags)))
        assert all(times <= 61 for _, times in loops), f"{name} has a loop without bound that can backtrack"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "a@",
        "@",
        "a@a.",
        "-eyJ",
        "eyJ.",
        "1",
        "1-",
        "1+",
        "+1",
        "(1",
        "4111-",
        "a:",
        "a=",
        '="',
        '\\"',
        '"',
        "'",
        "[",
        "(",
        '{"',
        "token=",
        "token=[",
        'token="',
        'token=\\"',
        "://a:",
        "://",
        "<a",
        "<pin>",
        "--a",
        "--token,",
        "a%40",
        "-----BEGIN",
        "bearer ",
        "basic ",
        "api ",
        "api key ",
        "--a ",
        "DE89",
        "DE89-",
        ":",
        "::1:",
        "sk-",
        "SG.",
        "key-",
        "_",
        "-",
        ".",
        ",",
        ";",
        "token=,a",
        "token:",
        "cookie=a;",
        "authorization:a",
        '\',"a"',
        "b'a',",
        "api",
        "é",
        "%20",
        "&key=",
        "]=",
    ],
)
def test_repetitions_of_any_piece_are_masked_in_linear_time(piece: str) -> None:
    Masker(mask_ips=True).all_rules(piece.replace("\u00a0", " ") * (60_000 // len(piece)))
