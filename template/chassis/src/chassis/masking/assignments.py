"""Secrets that a name gives away inside a text: ``password=hunter2``, ``"apiKey": "x"``, ``<pin>1</pin>``.

Settings files, JSON and Python reprs (also escaped inside other text), URLs, form bodies, headers, XML,
command lines and source lines in tracebacks all say a name, then a sign, then the value. The name is found by
one pattern, judged like any other key, and the end of the value is found by its own kind: quoted, bracketed,
a header's whole line, or plain. Where the end is not clear, too much is masked and never too little. Every
search moves forward only, so the time is linear in the length of the text.
"""

import re
from urllib.parse import unquote

from chassis.masking.hide import STARS, hide
from chassis.masking.keys import Keys, Secrecy
from chassis.pattern import pattern

_NAME = r"(?<![\w.\-])(?P<key>[\w.\-]++)"
_PAIR = pattern(  # key = value, "key": value, key%3Dvalue
    _NAME
    + r"""(?:\]|%5[dD])?(?P<quoted>\\*+["'`])?"""
    + r"""(?:\s{0,8}+|%20)(?P<sign>=>|:=|!=|={1,3}+|:|%3[aAdD])(?:\s{0,8}+|%20)""",
    re.ASCII,
)
_OPTION = pattern(r"""(?<![\w.\-])(?P<key>--[\w.\-]++)(?:[ ]{1,4}+|\\*+["'],\s{0,4}+)(?![\-=:])""", re.ASCII)
_HEADER = pattern(  # (b"authorization", b"Bearer x"), ("X-Api-Key", "x") and any other pair that is no call
    r"""(?<![\w.\-])(?P<key>(?<=[bB]["'])[\w.\-]++|(?<=\(["'])(?<![\w.]\(["'])[\w.\-]++"""
    r"""|(?i:authorization|cookie|\w++-[\w\-]++))"""
    r"""\\*+["'],\s{0,4}+(?=[bB]?\\*+["'])""",
    re.ASCII,
)
_TAG = pattern(r"<(?P<key>[\w.:\-]++)(?:\s[^<>]{0,200}+)?>(?P<value>[^<>]++)(?=<)", re.ASCII)
_BREAK = r"(?:\r?\n|\\r\\n|\\n)"
_PART = pattern(  # a field of a multipart body, as it is or as Python shows bytes
    r"""(?<=[ ;]name=)\\*+"(?P<key>[\w.\-\[\]]++)\\*+"[^\r\n\\]{0,200}+"""
    rf"""(?:{_BREAK}[^\r\n\\]{{1,200}}+){{0,4}}+{_BREAK}{_BREAK}"""
    rf"""(?P<value>(?:[^\r\n\\]++|(?!{_BREAK}--)(?:[\r\n]|\\.))++)""",
    re.ASCII,
)
_BLOCK = pattern(r"[ \t]{0,8}+(?:[|>][+\-0-9]{0,2}+[ \t]{0,8}+)?\r?\n")
_BLOCK_LINE = pattern(r"(?P<indent>[ \t]*+)(?P<item>- )?(?P<rest>[^\n]*+)(?:\n|\Z)")
_URL_PASSWORD = pattern(r"(?<=://)(?P<user>[^\s/?\#:@\"'<>]*+):(?P<rest>[^\s\"'<>]*+)")
_QUOTE = pattern(r"[bBfFrRuU]{0,2}+(?P<quote>\\*+(?P<mark>[\"'`]))(?P<next>[\s),\]};]|\Z)?")
_BRACKET = pattern(r"[\w.]*+(?=[(\[{])", re.ASCII)
_AFTER_BRACKET = pattern(r"[^\s&<>,;()\[\]{}\"'`\\]*+")
_INSIDE_BRACKETS = pattern(r"\\.|\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|[()\[\]{}]", re.DOTALL)
_PLAIN = pattern(r"[^\s&<>]++")
_PLAIN_END = pattern(r"[,;](?=\Z|[\"'\w.\- ]{1,40}+[=:])", re.ASCII)
_MORE_DIGITS = pattern(r"(?:(?:[ \u00a0\-]|[ ]?/[ ]?)[\d+().\-]++)*+", re.ASCII)
_NUMERIC = pattern(r"[\d+().\-]++,?", re.ASCII)
# A quote ends the text around it, but for a quoted value: Digest username="bob", also with \\" inside JSON.
_LINE = pattern(r"(?:[^\r\n\"'<>]++|(?:(?<==)|(?<==\\))(?:\"[^\"\r\n]*+\"|'[^'\r\n]*+'))*+")
_COOKIES = pattern(r"[^\s;&\"'<>]++(?:;[ ]?[^\s;=&\"'<>]++=[^\s;&\"'<>]*+)*+")
_SCHEME = pattern(r"(?:bearer|basic|digest|token|apikey|negotiate|ntlm)(?:\s|\+|%20){1,4}+", re.IGNORECASE)
_NOTHING = frozenset({"", "None", "null", "nil"})
_COUNTS = pattern(r"[+\-]?[0-9][0-9_.,]*+(?:[a-zA-Z%]{0,2}+)|true|false|True|False", re.ASCII)
_QUERY_KEYS = frozenset({"key", "code", "auth", "sid"})
_SHORTEST_QUERY_SECRET = 8
_WORDS_BEFORE = pattern(r"(?:[A-Za-z]{1,24} ){1,3}\Z")
_REACH = 48
# What ends a name in an encoded text: an escape of what no name has, of a bracket or a space.
_NO_NAME = pattern(
    r"%(?!2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])[0-9a-fA-F]{2}|[^\w.\-%]",
    re.ASCII,
)
_LONGEST_ENCODED = 96

SIGNS = ("=", ":", "%3", "--", '",', "',", ">")
"""One of them is in every text that ``mask_assignments`` changes."""


def mask_url_passwords(text: str) -> str:
    """Mask the password in ``scheme://user:password@host``, whatever the scheme."""
    return _URL_PASSWORD.sub(_url_password, text)


def mask_assignments(text: str, keys: Keys) -> str:
    """Mask the values of sensitive names in a text."""
    text = _mask(text, _PAIR, keys)
    if "--" in text:
        text = _mask(text, _OPTION, keys)
    if '",' in text or "'," in text:
        text = _mask(text, _HEADER, keys)
    if "form-data" in text:
        text = _PART.sub(lambda part: _tag(part, keys), text)
    return _TAG.sub(lambda tag: _tag(tag, keys), text) if ">" in text else text


def _mask(text: str, rule: re.Pattern[str], keys: Keys) -> str:
    parts: list[str] = []
    done = 0
    found = rule.search(text)
    while found is not None:
        position = found.end()
        secrecy = _secrecy(text, found, keys)
        if secrecy is not Secrecy.NONE:
            start, end = _extent(text, found)
            if _is_secret(text[start:end], secrecy, found):
                parts += text[done:start], _hide(text[start:end])
                done = position = end
        found = rule.search(text, position)
    parts.append(text[done:])
    return "".join(parts)


def _secrecy(text: str, found: re.Match[str], keys: Keys) -> Secrecy:
    key = found["key"]
    secrecy = keys.secrecy(key)
    if text[found.start() - 1 : found.start()] == "%":
        secrecy = max(secrecy, keys.secrecy(_decoded_name(text, found)))
    if secrecy is Secrecy.NONE and _is_from_query(found):
        return Secrecy.ALL
    if (
        secrecy is Secrecy.NONE
        and text[found.start() - 1 : found.start()] == " "
        and keys.may_end_phrase(key)
    ):
        before = _WORDS_BEFORE.search(text, max(0, found.start() - _REACH), found.start())
        return Secrecy.NONE if before is None else keys.secrecy_of_phrase(before[0], key)
    return secrecy


def _decoded_name(text: str, found: re.Match[str]) -> str:
    """Return the whole of a name of which escapes are a part: ``pass%77ord``, ``user%5Bpin%5D``."""
    encoded = text[max(0, found.start() - _LONGEST_ENCODED) : found.end("key")]
    return unquote(_NO_NAME.split(encoded)[-1])


def _is_from_query(found: re.Match[str]) -> bool:
    return found["key"].lower() in _QUERY_KEYS and found.string[found.start() - 1 : found.start()] in {
        "?",
        "&",
    }


def _is_secret(value: str, secrecy: Secrecy, found: re.Match[str]) -> bool:
    if value in _NOTHING or (secrecy is Secrecy.TEXT and _COUNTS.fullmatch(value)):
        return False
    return len(value) >= _SHORTEST_QUERY_SECRET or not _is_from_query(found)


def _hide(value: str) -> str:
    return STARS if "(" in value or value[:1] in {"[", "{"} else hide(value)


def _extent(text: str, found: re.Match[str]) -> tuple[int, int]:
    start = found.end()
    if (block := _block(text, found)) is not None:
        return block
    quote = _QUOTE.match(text, start)
    if quote is not None:
        if (
            quote["next"] is not None
            and found[0].rstrip().endswith(":")
            and not found.groupdict().get("quoted")
        ):
            return start, start  # this quote ends the text around: "bad token:"
        return quote.end("quote"), _closing_quote(text, quote)
    bracket = _BRACKET.match(text, start)
    if bracket is not None:
        return start, _end_of_brackets(text, start, _closing_bracket(text, bracket.end()))
    return start, _plain_end(text, start, found["key"].lower())


def _block(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """Find the lines that YAML puts below a name: a text, a list or a mapping, further in than the name."""
    head = _BLOCK.match(text, found.end("sign")) if found.groupdict().get("sign") == ":" else None
    if head is None:
        return None
    before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
    depth = len(before) - len(before.lstrip(" \t-"))
    end = head.end()
    for line in _BLOCK_LINE.finditer(text, end):
        if line["item"] is None and not line["rest"].strip():
            continue
        if not _is_below(line, depth):
            break
        end = line.end("rest")
    below = text[head.end() : end].rstrip()
    start = end = head.end() + len(below)
    start -= len(below.lstrip())
    is_one_word = len(below.split()) <= 1
    return None if is_one_word and head[0].isspace() else (start, end)


def _is_below(line: re.Match[str], depth: int) -> bool:
    indent = len(line["indent"])
    return indent > depth or (indent == depth and line["item"] is not None)


def _closing_quote(text: str, quote: re.Match[str]) -> int:
    """Find the end of a quoted value; inside other quotes both of its quotes carry the same backslashes.

    Two that follow each other inside it are one sign of the value, as SQL and CSV have it.
    """
    mark, depth, start = quote["mark"], len(quote["quote"]) - 1, quote.end("quote")
    if depth == 0 and text.startswith(mark * 2, start):
        end = text.find(mark * 3, start + 2)
        return len(text) if end < 0 else end
    position = text.find(mark, start)
    while position >= 0:
        slashes = position
        while slashes > start and text[slashes - 1] == "\\":
            slashes -= 1
        count = position - slashes
        after = position + 1
        if count < depth:
            return slashes
        if (count - depth) % (2 * (depth + 1)) == 0:
            if position - depth == start or not text.startswith(quote["quote"], after):
                return position - depth
            after += depth + 1
        position = text.find(mark, after)
    return len(text)


def _closing_bracket(text: str, start: int) -> int:
    depth = 0
    for found in _INSIDE_BRACKETS.finditer(text, start):
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth -= 1
            if depth == 0:
                return found.end()
    return len(text)


def _end_of_brackets(text: str, start: int, end: int) -> int:
    """Take what follows a value in brackets without a space, and the rest of a number: ``(212) 555-0134``."""
    found = _AFTER_BRACKET.match(text, end)
    end = end if found is None else found.end()
    return _end_of_number(text, end) if _NUMERIC.fullmatch(text, start, end) else end


def _end_of_number(text: str, end: int) -> int:
    more = _MORE_DIGITS.match(text, end)
    return end if more is None else more.end()


def _plain_end(text: str, start: int, key: str) -> int:
    if "cookie" in key:
        line = _LINE if text[start - 1 : start] == " " else _COOKIES
        found = line.match(text, start)
        return start if found is None else found.end()
    scheme = _SCHEME.match(text, start)
    if "authorization" in key and (
        scheme[0][:6].lower() == "digest" if scheme else text[start - 1 : start] == " "
    ):
        found = _LINE.match(text, start)
        return start if found is None else found.end()
    plain = _PLAIN.match(text, scheme.end() if scheme else start)
    if plain is None:
        return scheme.end() if scheme else start
    stop = _PLAIN_END.search(text, plain.start(), plain.end())
    end = plain.end() if stop is None else stop.start()
    if _NUMERIC.fullmatch(text, start, end):
        return _end_of_number(text, end)
    while end > start and text[end - 1] in "\"')]},;.\\`":
        end -= 1
    return end


def _tag(tag: re.Match[str], keys: Keys) -> str:
    secrecy = keys.secrecy(tag["key"])
    value = tag["value"].strip()
    if secrecy is Secrecy.NONE or not value or (secrecy is Secrecy.TEXT and _COUNTS.fullmatch(value)):
        return tag[0]
    return tag[0][: tag.start("value") - tag.start()] + hide(value)


def _url_password(found: re.Match[str]) -> str:
    user, rest = found["user"], found["rest"]
    end = rest.rfind("@")
    if end <= 0:
        return found[0]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority.isdigit() and len(authority) < len(rest):
        return found[0]  # a port, and an @ in the path or the query
    return f"{user}:{hide(rest[:end])}{rest[end:]}"
