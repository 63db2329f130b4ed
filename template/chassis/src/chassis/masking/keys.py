"""Which names hide a secret: the sensitive keys, in any spelling, and what makes a key harmless again."""

import re
from collections.abc import Iterable
from enum import IntEnum


class Secrecy(IntEnum):
    """How much of the value under a key is masked."""

    NONE = 0
    """Nothing; the patterns for text still apply."""
    TEXT = 1
    """Text, bytes and containers; numbers and booleans survive (``max_tokens=4096``)."""
    ALL = 2
    """Everything but None."""


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _phrases(phrases: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in phrases.split(","))


STEMS = _table(
    "accesskey accesstoken accountkey apikey authkey authorization authtoken bearertoken cardnumber"
    " clientsecret connectionstring contrasena creditcard csrftoken encryptionkey kennwort passcode"
    " passphrase passwd password passwort privatekey refreshtoken secretkey sessionid sessionkey sessid"
    " sharedkey signingkey socialsecurity wachtwoord"
)
"""Sensitive wherever they stand inside a word: ``dbpassword``, ``XAPIKEY``."""

WORDS = _table(
    "apitoken authorization bearer cookie cookies cred credential credentials creds csc csrf cvc cvv dob iban"
    " jwt jwts msisdn otp passport passwords phone phones pin pins pwd pwds secret secrets senha session sig"
    " signature ssn ssns tel telephone token totp xsrf"
)
"""Sensitive as a whole word of the key: ``pin`` in ``card-pin``, not in ``mapping``."""

TEXT_WORDS = _table("pass sessions tokens")
"""Sensitive as a whole word, but a number under it is a count: ``prompt_tokens=12``."""

PHRASES = _phrases(
    "access key,account key,account no,account number,admin key,api key,api keys,app key,application key,"
    "auth code,auth data,auth header,auth key,backup code,backup codes,bank account,birth date,card no,"
    "card number,client key,code verifier,connection string,credit card,credit cards,cvv 2,date birth,"
    "date of birth,debit card,deploy key,driver license,drivers license,encryption key,fax number,"
    "functions key,host key,identity number,key material,license key,license number,login key,maiden name,"
    "master key,mfa code,mobile number,national id,national insurance,pass code,pass phrase,pass word,"
    "pre shared,private key,private keys,recovery code,recovery codes,routing number,secret key,"
    "security answer,security code,security number,service key,session key,shared access,shared key,"
    "signing key,social security,sort code,ssh key,storage key,subscription key,tax id,tax number,"
    "verification code,webhook key"
)
"""Sensitive as words that follow each other: ``apiKey``, ``API-KEY``, ``api key``; not ``primary_key``."""

HARMLESS_LAST = _table(
    "age alg algorithm at attempts audience backend budget changed class cost count counts created days dir"
    " directory disabled domain duration enabled endpoint error errors expired expires expiration expiry"
    " factory field fields file format hours httponly index invalid issuer kind len length limit limits"
    " manager method methods minutes missing model ms name names path policy position present provider rate"
    " ratio reason required retries rotated samesite scope scopes score seconds secure size source state"
    " status store strength supported timeout total ttl type types updated uri url usage used valid verified"
    " version window"
)
"""A key that ends so tells about the secret and does not hold it: ``token_count``, ``password_policy``."""

COUNTING_FIRST = _table(
    "allow allows avg can disable enable has hide is max mean min needs no num require requires show sum"
    " total use uses with without"
)
"""A key that begins so is a number or a flag: ``has_password=True`` survives, text under it does not."""

HARMLESS_WORDS = frozenset({"passwordless"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LONGEST_PHRASE = 3
_KEEP = 4096
_LONGEST_KEY = 256


class Keys:
    """Tells sensitive keys from others and remembers the answers (at most 4096 of them)."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        own = tuple(words for key in extra if (words := _words(key)))
        ending_harmless = {phrase for phrase in PHRASES if phrase[-1] in HARMLESS_LAST}
        self._own = frozenset(own) | {("".join(words),) for words in own} | ending_harmless
        self._known: dict[str, Secrecy] = {}
        self._last = frozenset(phrase[-1] for phrase in (*PHRASES, *self._own))
        self._last_known: dict[str, bool] = {}

    def secrecy(self, key: str) -> Secrecy:
        """Return how much of the value under this key is masked."""
        known = self._known.get(key)
        if known is None:
            known = self._judge(key[:_LONGEST_KEY])
            if len(self._known) >= _KEEP:
                self._known.clear()
            if len(key) <= _LONGEST_KEY:
                self._known[key] = known
        return known

    def may_end_phrase(self, key: str) -> bool:
        """Tell quickly whether words before this key could make it sensitive."""
        known = self._last_known.get(key)
        if known is None:
            words = _words(key)
            known = bool(words) and words[-1] in self._last
            if len(self._last_known) >= _KEEP:
                self._last_known.clear()
            if len(key) <= _LONGEST_KEY:
                self._last_known[key] = known
        return known

    def secrecy_of_phrase(self, before: str, key: str) -> Secrecy:
        """Return the same for a key that text spells as several words: ``card number: 4111``."""
        words = _words(before) + _words(key)
        for start in range(max(0, len(words) - _LONGEST_PHRASE), len(words) - 1):
            phrase = words[start:]
            if phrase in self._own or (phrase in PHRASES and phrase[-1] not in HARMLESS_LAST):
                return Secrecy.ALL
        return Secrecy.NONE

    def _judge(self, key: str) -> Secrecy:
        words = _words(key)
        if not words:
            return Secrecy.NONE
        if _has_phrase(words, self._own):
            return Secrecy.ALL
        secrecy = _of_words(words)
        if secrecy is Secrecy.NONE or words[-1] in HARMLESS_LAST:
            return Secrecy.NONE
        return Secrecy.TEXT if words[0] in COUNTING_FIRST else secrecy


def _words(key: str) -> tuple[str, ...]:
    """Return the words of a key in lower case: ``clientSecret`` and ``CLIENT-SECRET`` are the same."""
    if not key.isascii():
        import unicodedata

        # Letters of another width are the same, and what nobody sees is no part of a name.
        shown = (letter for letter in key if unicodedata.category(letter) != "Cf")
        key = unicodedata.normalize("NFKC", "".join(shown))
    return tuple(word.lower() for word in _WORD.findall(key))


def _of_words(words: tuple[str, ...]) -> Secrecy:
    for word in words:
        if word in WORDS or (word not in HARMLESS_WORDS and any(stem in word for stem in STEMS)):
            return Secrecy.ALL
    if words == ("auth",) or _has_phrase(words, PHRASES):
        return Secrecy.ALL
    return Secrecy.TEXT if any(word in TEXT_WORDS for word in words) else Secrecy.NONE


def _has_phrase(words: tuple[str, ...], phrases: frozenset[tuple[str, ...]]) -> bool:
    return any(
        words[start:end] in phrases for start in range(len(words)) for end in range(start + 1, len(words) + 1)
    )
