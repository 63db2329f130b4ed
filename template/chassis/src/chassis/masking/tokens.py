"""Credentials that show by their own form: provider keys, JWTs, bearer and basic credentials, PEM."""

import re
from base64 import b64decode
from binascii import Error as Base64Error

from chassis.masking.hide import STARS, hide
from chassis.pattern import pattern

# What a token begins with, and what follows: together at least 13 of ``[\w.-]``, or the quick look knows it.
_MARKED: tuple[tuple[str, str], ...] = (
    (r"gh[pousr]_", r"[0-9A-Za-z]{20,}+"),  # GitHub
    (r"github_pat_", r"\w{20,}+"),  # GitHub
    (r"gl[a-z]{2}t-", r"[\w\-.]{20,}+"),  # GitLab
    (r"xox[a-z]-", r"[0-9A-Za-z\-]{8,}+"),  # Slack
    (r"xoxe\.", r"[0-9A-Za-z.\-]{8,}+"),  # Slack
    (r"xapp-", r"[0-9A-Za-z\-]{10,}+"),  # Slack
    (r"[srp]k_live_", r"[0-9A-Za-z]{8,}+"),  # Stripe
    (r"[srp]k_test_", r"[0-9A-Za-z]{8,}+"),  # Stripe
    (r"whsec_", r"[0-9A-Za-z+/=]{16,}+"),  # Stripe, Svix
    (r"sk-", r"(?:proj-|ant-|svcacct-|admin-|or-)?+[\w\-]{16,}+"),  # OpenAI, Anthropic, OpenRouter
    (r"npm_", r"[0-9A-Za-z]{20,}+"),  # npm
    (r"pypi-", r"[\w\-]{16,}+"),  # PyPI
    (r"SG\.", r"[\w\-]{16,}+\.[\w\-]{16,}+"),  # SendGrid
    (r"key-", r"[0-9a-f]{32}\b"),  # Mailgun
    (r"hf_", r"[0-9A-Za-z]{20,}+"),  # Hugging Face
    (r"ya29\.", r"[\w\-]{20,}+"),  # Google OAuth
    (r"GOCSPX-", r"[\w\-]{20,}+"),  # Google OAuth client secret
    (r"do[oprt]_v1_", r"[0-9a-f]{32,}+"),  # DigitalOcean
    (r"shp[a-z]{2}_", r"[0-9A-Za-z]{24,}+"),  # Shopify
    (r"sq0[a-z]{3}-", r"[\w\-]{20,}+"),  # Square
    (r"lin_api_", r"[0-9A-Za-z]{20,}+"),  # Linear
    (r"ntn_", r"[0-9A-Za-z]{20,}+"),  # Notion
    (r"secret_", r"[0-9A-Za-z]{40,}+"),  # Notion
    (r"PMAK-", r"[0-9a-f\-]{20,}+"),  # Postman
    (r"NRAK-", r"[0-9A-Z]{20,}+"),  # New Relic
    (r"glsa_", r"\w{20,}+"),  # Grafana
    (r"glc_", r"[\w+/=]{20,}+"),  # Grafana
    (r"hv[sbr]\.", r"[\w\-]{20,}+"),  # Vault
    (r"dckr_pat_", r"[\w\-]{20,}+"),  # Docker Hub
    (r"sbp_", r"[0-9a-f]{32,}+"),  # Supabase
    (r"gsk_", r"[0-9A-Za-z]{20,}+"),  # Groq
    (r"xai-", r"[0-9A-Za-z]{20,}+"),  # xAI
    (r"pplx-", r"[0-9A-Za-z]{20,}+"),  # Perplexity
    (r"r8_", r"[0-9A-Za-z]{20,}+"),  # Replicate
    (r"dp\.pt\.", r"[0-9A-Za-z]{20,}+"),  # Doppler
    (r"pscale_", r"[a-z]{2,5}_[\w\-.]{20,}+"),  # PlanetScale
    (r"rubygems_", r"[0-9a-f]{40,}+"),  # RubyGems
    (r"sntry[su]_", r"[\w+/=\-]{20,}+"),  # Sentry
    (r"figd_", r"[\w\-]{20,}+"),  # Figma
    (r"AGE-SECRET-KEY-", r"[0-9A-Z]{20,}+"),  # age
)
# Prefixes that end in a letter or digit: (prefix, what follows).
_PLAIN: tuple[tuple[str, str], ...] = (
    (r"A(?:KIA|SIA)", r"[0-9A-Z]{16}\b"),  # AWS access key id
    (r"AIza", r"[\w\-]{30,}+"),  # Google API key
    (r"(?:AC|SK)", r"[0-9a-f]{32}\b"),  # Twilio
    (r"dapi", r"[0-9a-f]{32}(?:-[0-9])?\b"),  # Databricks
    (r"ATATT3", r"[\w\-=]{20,}+"),  # Atlassian
    (r"LS0tLS1CRUdJTi", r"[0-9A-Za-z+/=]{16,}+"),  # "-----BEGIN" in base64
    (r"eyJ", r"[\w\-]{6,2000}+\.[\w\-]{4,}+(?:\.[\w\-]*+){0,3}"),  # JWT and JWE (RFC 7519, 7516)
)
_TOKEN = pattern(
    "(?<![0-9A-Za-z])(?:" + "|".join(prefix + rest for prefix, rest in (*_MARKED, *_PLAIN)) + ")",
    re.ASCII,
)
_NEEDS_DIGIT = ("sk-", "pypi-", "key-", "secret_")
_WEBHOOK = pattern(
    r"(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|"
    r"api\.telegram\.org/(?:file/)?bot)([\w/\-+:]{6,}+)",
    re.ASCII | re.IGNORECASE,
)
_TELEGRAM = pattern(r"(?<![0-9A-Za-z])[0-9]{8,10}:AA[\w\-]{30,}+", re.ASCII)
_BEARER = pattern(r"(?<![0-9A-Za-z])(bearer(?:\s|%20|\+){1,4}+)([\w.~+/=\-%]{6,}+)", re.ASCII | re.IGNORECASE)
_BASIC = pattern(
    r"(?<![0-9A-Za-z])(basic(?:\s|%20|\+){1,4}+)([0-9A-Za-z+/_\-]{4,}+={0,2}+)", re.ASCII | re.IGNORECASE
)
_PEM = pattern(r"-----BEGIN [0-9A-Z ]{0,40}?PRIVATE KEY[A-Z ]{0,10}-----")
_PEM_END = pattern(r"-----END [0-9A-Z ]{1,60}-----")
_LONG_BEARER = 20

PRIVATE_KEY = "-----BEGIN "
"""In every text that ``mask_private_keys`` changes."""


def mask_private_keys(text: str) -> str:
    """Mask every PEM private key, whatever its line breaks; one without an end, to the end of the text."""
    found = _PEM.search(text)
    if found is None:
        return text
    parts: list[str] = []
    done = 0
    while found is not None:
        end = _PEM_END.search(text, found.end())
        parts += text[done : found.start()], STARS
        done = len(text) if end is None else end.end()
        found = _PEM.search(text, done)
    parts.append(text[done:])
    return "".join(parts)


def mask_tokens(text: str) -> str:
    """Mask provider keys, JWTs, webhook addresses, bearer and basic credentials in a text."""
    text = _BEARER.sub(_bearer, text)
    text = _BASIC.sub(_basic, text)
    text = _WEBHOOK.sub(lambda found: found[1] + hide(found[2]), text)
    text = _TELEGRAM.sub(lambda found: hide(found[0]), text)
    return _TOKEN.sub(_token, text)


def mask_present_tokens(text: str, letters: str, *, run: bool) -> str:
    """Do the same with the rules whose sign is there; ``letters`` and ``run`` are those of the quick look."""
    if "bearer" in letters:
        text = _BEARER.sub(_bearer, text)
    if "basic" in letters:
        text = _BASIC.sub(_basic, text)
    if "discord" in letters or "hooks slack com " in letters or "api telegram org " in letters:
        text = _WEBHOOK.sub(lambda found: found[1] + hide(found[2]), text)
    if ":AA" in text:
        text = _TELEGRAM.sub(lambda found: hide(found[0]), text)
    if run or "whsec_" in letters or "glc_" in letters or "sntry" in letters:
        text = _TOKEN.sub(_token, text)
    return text


def _token(found: re.Match[str]) -> str:
    token = found[0]
    if token.startswith(_NEEDS_DIGIT) and not any(char.isdigit() for char in token):
        return token
    return hide(token)


def _bearer(found: re.Match[str]) -> str:
    token = found[2]
    if token.isalpha() and len(token) < _LONG_BEARER:
        return found[0]  # a word: "bearer authentication"
    return found[1] + hide(token)


def _basic(found: re.Match[str]) -> str:
    encoded = found[2].replace("-", "+").replace("_", "/").rstrip("=")
    try:
        decoded = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (Base64Error, ValueError):
        return found[0]
    return found[1] + hide(found[2]) if b":" in decoded else found[0]
