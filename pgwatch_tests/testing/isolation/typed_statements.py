"""Statements that matter to a transaction which is to be rolled back, by their first words. Pure.

A text may hold several, and comments before each: tools that tag queries put them there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pgwatch_tests.text.sql_tokens import tokens

_ENDS = re.compile(
    r"\s*(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE,
)
_READS = re.compile(r"\s*(?:SELECT|SHOW|EXPLAIN|VALUES|TABLE|FETCH|SET|RESET)\b", re.IGNORECASE)
_COMMENTED = re.compile(r"\s*(?:--|/\*)")
_CHANGES_SCHEMA = re.compile(r"\s*(?:CREATE|ALTER|DROP|IMPORT|DO|CALL)\b", re.IGNORECASE)


def only_reads(text: str) -> bool:
    """Whether it writes nothing, as a rule."""
    return all(_READS.match(statement) for statement in _bare(text))


def ends_transaction(text: str) -> bool:
    """Whether it would end the transaction, or begin one."""
    return any(_ENDS.match(statement) for statement in _bare(text))


def changes_schema(text: str) -> bool:
    """Whether it may make or drop constraints."""
    return any(_CHANGES_SCHEMA.match(statement) for statement in _bare(text))


def refusal(text: str) -> str:
    """Returns why a text is refused that would end the transaction."""
    ending = next((match for statement in _bare(text) if (match := _ENDS.match(statement))), None)
    return (
        f"{ending.group().split()[0].upper() if ending else 'this'} as a statement would end the test's own "
        "transaction, which is to be rolled back: use commit(), rollback() and begin()"
    )


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Returns the statements of a text, and where each begins: they end at a `;` outside of BEGIN ATOMIC."""
    start: int | None = None
    depth = 0
    before = ""
    end = 0
    for token in tokens(text):
        if token.kind == "comment":
            continue
        word = token.text.lower() if token.kind == "word" else token.text
        if word == ";" and depth == 0:
            if start is not None:
                yield start, text[start : token.start]
            start, before = None, ""
            continue
        if start is None:
            start = token.start
        if (before, word) == ("begin", "atomic"):
            depth = 1
        elif depth and word == "case":
            depth += 1
        elif depth and word == "end":
            depth -= 1
        before, end = word, token.end
    if start is not None:
        yield start, text[start:end]


def _bare(text: str) -> Iterable[str]:
    """Returns the statements without what is before each; reads a text word by word only if it has to."""
    if ";" not in text and not _COMMENTED.match(text):
        return (text,)
    return (statement for _, statement in statements(text))
