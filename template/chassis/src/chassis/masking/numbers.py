"""Numbers that name a person or an account: cards, IBANs, social security and phone numbers, addresses.

Digits are everywhere in logs, so each form is checked as far as its standard allows: a card by scheme
prefix, length and Luhn (ISO/IEC 7812), an IBAN by country length and mod 97 (ISO 13616), a US social security
number by the ranges never issued (SSA), a phone number by ``+`` and E.164 length or by the North American
plan.
"""

import ipaddress
import re
from bisect import bisect_right

from chassis.masking.hide import hide
from chassis.masking.look import BARE_DIGITS, GROUPED_DIGITS
from chassis.pattern import pattern

_SEPARATOR = r"(?:[ .+\-_/\u00a0]|%20)"
# Digits inside a word (a hash) or behind a decimal point are no card.
_BEFORE = r"(?<![0-9A-Za-z])(?<![0-9][.])"
_AFTER = r"(?![0-9A-Za-z])(?!\.[0-9])"

_BARE_CARD = pattern(rf"{_BEFORE}[0-9]{{13,19}}{_AFTER}")
_GROUPED_CARD = pattern(
    rf"{_BEFORE}(?<![0-9]-)[0-9]{{4}}({_SEPARATOR})(?:[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}(?:\1[0-9]{{1,3}})?"
    rf"|[0-9]{{6}}\1[0-9]{{4,5}}){_AFTER}(?!-[0-9])"
)
_SSN = pattern(
    r"(?<![0-9A-Za-z\-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9A-Za-z]|-[0-9A-Za-z])"
)
_INTERNATIONAL = pattern(r"(?<![0-9A-Za-z+])\+ ?[1-9](?:[ ().\-/\u00a0]{0,2}[0-9]){6,14}(?![0-9])")
_THOUSANDS = pattern(r"\+[0-9]{1,3}(?:[.,][0-9]{3})++")
_NORTH_AMERICAN = pattern(
    r"(?<![0-9A-Za-z.+\-])(?:1[\-. ]?)?(?:\([2-9][0-9]{2}\)[\-. ]?|[2-9][0-9]{2}[\-.])"
    r"[2-9][0-9]{2}[\-. ][0-9]{4}(?![0-9A-Za-z]|[.\-][0-9A-Za-z])"
)
_IBAN_START = pattern(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[ \-]?[0-9A-Za-z]{4})")
_IPV4 = pattern(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])")
_IPV6 = pattern(
    r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?:[0-9]{0,2}(?:\.[0-9]{1,3}){3})?(?![0-9A-Za-z:])"
)

# First and last prefix of a range, then the lengths in use. Sorted; prefixes are compared on six digits.
_SCHEMES: tuple[tuple[int, int, frozenset[int]], ...] = tuple(
    (low * 10 ** (6 - len(str(low))), (high + 1) * 10 ** (6 - len(str(high))) - 1, frozenset(lengths))
    for low, high, lengths in (
        (2200, 2204, (16, 17, 18, 19)),  # Mir
        (2221, 2720, (16,)),  # Mastercard
        (300, 305, (14, 16)),  # Diners Club
        (309, 309, (14,)),  # Diners Club
        (34, 34, (15,)),  # American Express
        (3528, 3589, (16, 17, 18, 19)),  # JCB
        (36, 36, (14, 16)),  # Diners Club
        (37, 37, (15,)),  # American Express
        (38, 39, (14, 16)),  # Diners Club
        (4, 4, (13, 16, 19)),  # Visa
        (5018, 5018, (13, 16, 18, 19)),  # Maestro
        (5020, 5020, (13, 16, 18, 19)),  # Maestro
        (5038, 5038, (13, 16, 18, 19)),  # Maestro
        (51, 55, (16,)),  # Mastercard
        (5893, 5893, (13, 16, 18, 19)),  # Maestro
        (6011, 6011, (16, 19)),  # Discover
        (62, 62, (16, 17, 18, 19)),  # UnionPay
        (6304, 6304, (13, 16, 18, 19)),  # Maestro
        (644, 649, (16, 19)),  # Discover
        (65, 65, (16, 19)),  # Discover, RuPay
        (6759, 6759, (13, 16, 18, 19)),  # Maestro
        (6761, 6763, (13, 16, 18, 19)),  # Maestro
        (81, 82, (16,)),  # RuPay
    )
)
# Luhn: twice the digit, its own digits added.
_DOUBLED = {digit: sum(divmod(2 * int(digit), 10)) for digit in "0123456789"}
_STARTS = [low for low, _, _ in _SCHEMES]

# The IBAN registry, SWIFT, release 99: length by country.
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18"
    " DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23"
    " IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27"
    " MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19"
    " SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
# Those with digits alone after the country: without this rule many a hash would be a candidate.
_IBANS_OF_DIGITS = (
    "AE AT BA BE BI CR CZ DE DJ DK EE ES FI FO GL HR HU IL IS LT LY ME MN MR NO PL PT RS SD SE SI SK SO ST TL"
    " TN VA XK"
)
_DIGITS_ONLY = frozenset(_IBANS_OF_DIGITS.split())
_IBAN_GROUP = 4
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
_SHORTEST_COMPACT_PHONE = 9
_SHORTEST_PHONE = 8


def is_card(digits: str) -> bool:
    """Tell whether these digits have the prefix and length of a card scheme and a right Luhn digit."""
    prefix = int(digits[:6])
    row = bisect_right(_STARTS, prefix) - 1
    if row < 0 or prefix > _SCHEMES[row][1] or len(digits) not in _SCHEMES[row][2]:
        return False
    return (sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


def is_iban(compact: str) -> bool:
    """Tell whether this text, without spaces, is an IBAN of a known country with right check digits."""
    country = compact[:2].upper()
    if len(compact) != _IBAN_LENGTHS.get(country) or (country in _DIGITS_ONLY and not compact[4:].isdigit()):
        return False
    if not (compact.isascii() and compact.isalnum()):
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def mask_numbers(text: str) -> str:
    """Mask IBANs, cards, social security numbers and phone numbers in a text."""
    text = _mask_ibans(text)
    text = _GROUPED_CARD.sub(_card, text)
    text = _BARE_CARD.sub(_card, text)
    text = _SSN.sub(lambda found: hide(found[0]), text)
    text = _INTERNATIONAL.sub(_phone, text)
    return _NORTH_AMERICAN.sub(lambda found: hide(found[0]), text)


def mask_present_numbers(text: str, letters: str, *, run: bool) -> str:
    """Do the same with the rules whose sign is there; ``letters`` and ``run`` are those of the quick look."""
    if run:
        text = _mask_ibans(text)
    grouped = GROUPED_DIGITS in letters
    if grouped or "00_0000" in letters or "00+0000" in letters or "00%000000" in letters:
        text = _GROUPED_CARD.sub(_card, text)
    if BARE_DIGITS in letters:
        text = _BARE_CARD.sub(_card, text)
    if grouped:
        text = _SSN.sub(lambda found: hide(found[0]), text)
    if "+" in text:
        text = _INTERNATIONAL.sub(_phone, text)
    return _NORTH_AMERICAN.sub(lambda found: hide(found[0]), text) if grouped else text


def mask_addresses(text: str) -> str:
    """Mask IPv4 and IPv6 addresses in a text."""
    text = _IPV6.sub(_address, text)
    return _IPV4.sub(_address, text)


def _card(found: re.Match[str]) -> str:
    digits = re.sub(r"%20|[^0-9]", "", found[0])
    return hide(found[0]) if is_card(digits) else found[0]


def _phone(found: re.Match[str]) -> str:
    digits = sum(char.isdigit() for char in found[0])
    shortest = _SHORTEST_COMPACT_PHONE if found[0][1:].isdigit() else _SHORTEST_PHONE
    if digits < shortest or _THOUSANDS.fullmatch(found[0]):
        return found[0]
    return hide(found[0])


def _address(found: re.Match[str]) -> str:
    address = found[0].removesuffix(":") if not found[0].endswith("::") else found[0]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return found[0]
    return found[0] if address == "::" else hide(address) + found[0][len(address) :]


def _mask_ibans(text: str) -> str:
    parts: list[str] = []
    done = 0
    for found in _IBAN_START.finditer(text):
        start = found.start()
        length = _IBAN_LENGTHS.get(found[0][:2].upper())
        if start < done or length is None:
            continue
        end, compact = _take(text, start, length)
        if is_iban(compact) and not text[end : end + 1].isalnum():
            parts += text[done:start], hide(text[start:end])
            done = end
    parts.append(text[done:])
    return "".join(parts)


def _take(text: str, start: int, length: int) -> tuple[int, str]:
    """Take so many characters, in one piece or in groups of four with the same sign between them."""
    sign = text[start + _IBAN_GROUP : start + _IBAN_GROUP + 1]
    if sign not in {" ", "-"}:
        return start + length, text[start : start + length]
    end = start + length + (length - 1) // _IBAN_GROUP
    groups = text[start:end].split(sign)
    is_grouped = all(len(group) == _IBAN_GROUP for group in groups[:-1])
    return end, "".join(groups) if is_grouped else ""
