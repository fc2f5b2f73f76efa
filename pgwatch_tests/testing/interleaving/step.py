"""Steps of actors: statements and COMMITs, and their texts as they are shown and compared. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.text.plain_text import one_line, shortened_middle
from pgwatch_tests.text.secrets import mask_statement

StepKind = Literal["statement", "commit"]
LETTERS = "ABCD"

_LITERALS = re.compile(
    r"'(?:[^']|'')*'|\$(?:\d+|\w*\$.*?\$\w*\$)|%\(\w+\)[sbt]|%[sbt]|\b\d+(?:\.\d+)?\b|\b(?:true|false|null)\b",
    re.IGNORECASE | re.DOTALL,
)
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

    @property
    def pattern(self) -> str:
        """The text without values: the same in each run of the same code."""
        return normalised(self.text)

    @property
    def shown(self) -> str:
        """The text in one line, secrets masked."""
        return shortened_middle(one_line(mask_statement(self.text)), 100)


def normalised(text: str) -> str:
    """Returns a statement in one line without its literals and parameters."""
    return _LISTS.sub("?", " ".join(_LITERALS.sub("?", text).split()))


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
