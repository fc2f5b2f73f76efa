"""Steps of actors: statements and COMMITs, and their texts as they are shown and compared. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pgwatch_tests.identity.value_tokens import RUN_TOKEN
from pgwatch_tests.text.plain_text import one_line, shortened_middle
from pgwatch_tests.text.secrets import mask_statement

StepKind = Literal["statement", "commit"]
LETTERS = "ABCD"

_MADE_NAMES = re.compile(
    rf"{RUN_TOKEN}(?:[_-][0-9a-z]{{8,12}}(?![0-9A-Za-z]))?"
    r"|(?<![0-9A-Za-z])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}(?![0-9A-Za-z])|[0-9a-f]{32,}"
    r"|(?<=[A-Za-z_])\d{5,}"
)
"""What only names of one run have in them: a token of `unique_id`, many digits, a hash."""
_LITERALS = re.compile(
    r"'(?:[^']|'')*'|\$(?:\d+|\w*\$.*?\$\w*\$)|%\(\w+\)[sbt]|%[sbt]|\b\d+(?:\.\d+)?\b|\b(?:true|false|null)\b",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"(?=.*\d)[A-Za-z_][\w-]*")
_LISTS = re.compile(r"\?(?:\s*,\s*\?)+")
_NO_STEP = re.compile(
    r"""(?:
        SET\b(?!\s+CONSTRAINTS) | RESET\b | SHOW\b | BEGIN\b | START\b | ROLLBACK\b(?!\s+PREPARED) | ABORT\b
        | SAVEPOINT\b | RELEASE\b | DISCARD\b | DEALLOCATE\b | LISTEN\b | UNLISTEN\b | CLOSE\b |
        SELECT\s+(?:1|(?:pg_catalog\.)?(?:set_config\([^()]*\)|version\(\))|current_schema\(\))\s*;?\s*$ |
        SELECT\s+typname\s+AS\s+name,\s*oid,\s*typarray
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_COMMIT = re.compile(r"(?:COMMIT|END)\b(?!\s+PREPARED)", re.IGNORECASE)
_KNOWN = re.compile(
    r"(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE|DECLARE|FETCH|LOCK)\b", re.IGNORECASE
)
_ROLLS_BACK = re.compile(r"(?:ROLLBACK|ABORT)\b", re.IGNORECASE)
_TAKES_SNAPSHOT = re.compile(r"SELECT\s+(?:1\b|(?:pg_catalog\.)?set_config\b)", re.IGNORECASE)
_SETS_ISOLATION = re.compile("isolation|characteristics|discard|reset", re.IGNORECASE)
_DELETE = re.compile(r'DELETE\s+FROM\s+(?:ONLY\s+)?((?:[\w.]|"[^"]*")+)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that an actor has made, or stands before."""

    actor: int
    kind: StepKind
    text: str
    """The statement with its values, as the driver was given it."""
    session: int = 0
    """Which of the actor's connections, counted from 0."""
    result: str = ""
    """What it came to, in short: `→ 0`, `1 row`, the error. Empty before."""
    fault: str = ""
    """The kind of the fault that happened to it, one letter; empty: none."""
    waited: bool = False
    """Whether it had to wait for another actor."""
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Names that `setup` has made for this run."""

    @property
    def pattern(self) -> str:
        """The text without values: the same in each run of the same code."""
        return normalised(self.text, self.names)

    @property
    def shown(self) -> str:
        """The text in one line, secrets masked."""
        return shortened_middle(one_line(mask_statement(self.text)), 100)


def normalised(text: str, names: Sequence[str] = ()) -> str:
    """Returns a statement in one line without its literals and parameters, and without names of one run.

    `names`: further ones of these. A name that is there twice is told from two names: each has its number.
    """
    text = _LITERALS.sub("?", text)
    seen: dict[str, str] = {}

    def told(match: re.Match[str]) -> str:
        return seen.setdefault(match[0], f"<{len(seen) + 1}>")

    if names:
        text = re.sub(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])", told, text)
    return _LISTS.sub("?", " ".join(_MADE_NAMES.sub(told, text).split()))


def without_made_names(text: str) -> str:
    """Returns a text without what only names of one run have in them."""
    return _MADE_NAMES.sub("<made>", text)


def names_of_run(values: Iterable[object]) -> tuple[str, ...]:
    """Returns those of the values that may be names made for one run: with a digit. Longest first."""
    names = {one for one in values if isinstance(one, str) and _NAME.fullmatch(one)}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def is_no_step(text: str) -> bool:
    """Whether a statement touches nothing that another actor sees, or is a driver's own first question."""
    text = without_comments(text)
    return not text.strip(";\n\t ") or _NO_STEP.match(text) is not None


def takes_snapshot(text: str) -> bool:
    """Whether a question that is no step is a program's own, and has its transaction take a snapshot."""
    return _TAKES_SNAPSHOT.match(without_comments(text)) is not None


def sets_isolation(text: str) -> bool:
    """Whether a statement may set the level of its transaction, or of later ones."""
    return _SETS_ISOLATION.search(text) is not None


def is_commit(text: str) -> bool:
    """Whether a statement ends its transaction as COMMIT does."""
    return _COMMIT.match(without_comments(text)) is not None


def rolls_back(text: str) -> bool:
    """Whether a statement undoes and frees what the transaction has done, or a part of it."""
    return _ROLLS_BACK.match(without_comments(text)) is not None


def is_told_by_locks(text: str) -> bool:
    """Whether the locks that are held after a statement tell what it touched: not so for DDL or COPY."""
    text = without_comments(text)
    return _KNOWN.match(text) is not None and ";" not in text.rstrip("; \n\t")


def deleted_from(text: str) -> str | None:
    """Returns the table of a DELETE; None for any other statement."""
    match = _DELETE.match(without_comments(text))
    return None if match is None else match[1]


def without_comments(text: str) -> str:
    """Returns a statement without blanks and comments ahead of it."""
    return _COMMENTS.sub("", text)
