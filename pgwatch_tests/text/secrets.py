"""Secrets in other people's statements, names and messages: masked. Pure.

Whatever comes from another session passes here where it comes in, so that nothing which shows or keeps it can
forget to. Masked are passwords of roles, and values of options, settings, columns and keys whose
name says that they are credentials; passwords in connection strings and URLs, wherever these stand. A text
that was cut off within a secret ends there. Better a harmless value hidden than a password shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.text.secret_values import secret_tokens
from pgwatch_tests.text.secret_words import HINTS, is_credential
from pgwatch_tests.text.sql_tokens import Token, is_ambiguous, tokens

MASK = "***"

_DEEPEST = 6  # strings within strings: beyond, a string that may hold a secret is hidden as a whole
# The server cuts statements at 1 kB, unless it is told not to; a poll can't wait for a long one to be read.
_LONGEST = 50_000
_KEPT_LONGEST = 4096

# As libpq finds the password in a URI: after the first colon, up to an @ ahead of any slash.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:]*:)([^\s/]+)@")
_CUT_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:]*:)[^\s/@]+\Z")
_VALUE = r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?|(?:\\.|\S)++"""
_ASSIGNED = re.compile(
    rf"""(?P<head>(?<![\w.])(?P<name>[A-Za-z_][\w.-]{{0,100}}+)"?=>?)(?P<value>{_VALUE})""", re.DOTALL
)
_ASSIGNED_IN_URL = re.compile(r"(?P<head>[?&](?P<name>[A-Za-z_][\w.-]{0,100}+)=)(?P<value>[^\s&'\"]++)")
_SPACED = re.compile(
    rf"(?P<head>(?<!\w)(?P<name>[A-Za-z_]\w{{0,100}}+)\s*=\s*)(?P<value>{_VALUE})", re.DOTALL
)
# The options of libpq and nothing else: `host = x password = y`, perhaps cut off.
_CONNINFO = re.compile(rf"\s*+(?:[a-z_]++\s*+=\s*+(?:{_VALUE})(?:\s++|\Z))++[a-z_]*+\s*+=?\s*+", re.DOTALL)
_IN_JSON = re.compile(
    r'(?P<head>"(?P<name>[^"\\\n]{1,100})"\s*(?::|=>)\s*)(?P<value>"(?:[^"\\]|\\.)*+"?|[^\s,{}\[\]"]+)',
    re.DOTALL,
)
# `--password value`, not `--no-password`. A second option isn't the value of the first.
_OPTION = re.compile(
    rf"(?P<head>(?<!\S)--?(?!no-)(?P<name>[A-Za-z][\w-]{{0,100}}+)\s++)(?P<value>(?!-){_VALUE})", re.DOTALL
)
_OPTION_ALONE = re.compile(r"--?(?!no-)(?P<name>[A-Za-z][\w-]{0,100})")
_HEADER = re.compile(r"(?i)(\b(?:bearer|basic)\s+)[^\s'\"]{8,}")
# How the server names a key that a row breaks: `Key (email, password)=(a, b) already exists.`
_KEY = re.compile(r"\((?P<names>[^()\n]{0,1000})\)=\((?P<values>[^\n]{0,4000})\)")


def mask_statement(statement: str) -> str:
    """Returns an SQL text, perhaps cut off by the server, without its secrets."""
    return _kept(statement) if len(statement) <= _KEPT_LONGEST else _statement(_scanned(statement), 0)


def mask_text(text: str) -> str:
    """Returns a message or value, which may quote statements and connection strings, without secrets."""
    return _text(_scanned(text), 0, cut=False)


def mask_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns a command's arguments without secrets, also where an option and its value are two of them."""
    masked = [*map(mask_text, arguments)]
    for at, (option, value) in enumerate(pairwise(arguments), start=1):
        match = _OPTION_ALONE.fullmatch(option)
        if match is not None and is_credential(match["name"]) and not value.startswith("-"):
            masked[at] = MASK
    return tuple(masked)


def mask_name(name: str) -> str:
    """Returns an application's name without secrets.

    A test's name stays as it is, but for passwords in URLs.
    """
    if not _may_hold_secret(name):
        return name
    return _URL.sub(_without_password, name) if parse(name) else mask_text(name)


@lru_cache(maxsize=1024)
def _kept(statement: str) -> str:
    """Masks a statement once: most polls see the statements of the poll before."""
    return _statement(statement, 0)


def _scanned(text: str) -> str:
    if len(text) <= _LONGEST or not _may_hold_secret(text):
        return text
    return f"{text[:_LONGEST]}{MASK}"


def _may_hold_secret(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in HINTS)


def _statement(text: str, depth: int) -> str:
    if not _may_hold_secret(text):
        return text
    read = list(tokens(text))
    spans = _spans(read, depth)
    if any(map(is_ambiguous, read)):
        if depth:
            return MASK
        spans += _spans(list(tokens(text, backslashes=True)), depth)
        if spans:
            # The end of a secret depends on a setting that isn't known.
            first, _, _ = min(spans)
            return f"{text[:first]}'{MASK}'"
    return _replaced(text, spans)


def _spans(read: list[Token], depth: int) -> list[tuple[int, int, str]]:
    """Returns the spans of secret characters, and their replacements."""
    code = [token for token in read if token.kind != "comment"]
    secret = secret_tokens(code)
    spans: list[tuple[int, int, str]] = []
    for number, token in enumerate(code):
        if number in secret:
            spans.append((token.start, token.end, f"'{MASK}'" if token.kind == "literal" else MASK))
        elif token.kind == "literal":
            inside = _text(token.value, depth + 1, cut=not token.closed)
            if inside != token.value:
                spans.append((token.start, token.end, _quoted(inside, token)))
    for token in read:
        if token.kind == "comment":
            inside = _text(token.value, depth + 1, cut=False)
            if inside != token.value:
                end = "*/" if token.text.startswith("/*") and token.text.endswith("*/") else ""
                spans.append((token.start, token.end, f"{token.text[:2]}{inside}{end}"))
    return spans


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, instead in sorted(spans):
        between = text[at:start]
        at = end
        # The number of a secret's words isn't shown either.
        if not (instead == MASK and parts and parts[-1] == MASK and not between.strip()):
            parts += [between, instead]
    return "".join([*parts, text[at:]])


def _text(text: str, depth: int, *, cut: bool) -> str:
    if not _may_hold_secret(text):
        return text
    if depth > _DEEPEST:
        return MASK
    text = _URL.sub(_without_password, text)
    if cut:
        text = _CUT_URL.sub(rf"\1{MASK}", text)
    for pattern in (_ASSIGNED_IN_URL, _ASSIGNED, _IN_JSON, _OPTION):
        text = pattern.sub(_without_value, text)
    if _CONNINFO.fullmatch(text):
        text = _SPACED.sub(_without_value, text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _KEY.sub(_without_values, text)
    return _statement(text, depth)


def _without_password(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}@"


def _without_value(match: re.Match[str]) -> str:
    if not is_credential(match["name"]):
        return match[0]
    value = match["value"]
    mark = value[0] if value[0] in "'\"" else ""
    return f"{match['head']}{mark}{MASK}{mark}"


def _without_values(match: re.Match[str]) -> str:
    if any(map(is_credential, re.split(r"[^\w$-]+", match["names"]))):
        return f"({match['names']})=({MASK})"
    return match[0]


def _quoted(inside: str, token: Token) -> str:
    if token.text.startswith("$"):
        tag = token.text[: token.text.index("$", 1) + 1]
        return f"{tag}{inside}{tag if token.closed else ''}"
    doubled = inside.replace("'", "''")
    return f"'{doubled}{chr(39) if token.closed else ''}"
