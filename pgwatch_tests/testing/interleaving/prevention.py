"""What would prevent a bad schedule, as far as it follows from its statements. Pure.

Only plain forms are read: one table, equalities in WHERE, one row in VALUES. What isn't of this form gets no
advice rather than a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.testing.interleaving.schedules.step import Step, without_comments

_NAME = r'(?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?'
_VALUE = r"'(?:[^']|'')*'|-?\d+(?:\.\d+)?"
_SELECT = re.compile(
    rf"SELECT\b.*?\bFROM\s+({_NAME})\s+WHERE\s+(.+?)(?:\s+LIMIT\s+\d+)?(?P<locks>\s+FOR\s+(?:UPDATE|NO\s+KEY\s+UPDATE))?;?",
    re.I | re.S,
)
_UPDATE = re.compile(rf"UPDATE\s+({_NAME})\s+SET\s+.*?\s+WHERE\s+(.+?)(?:\s+RETURNING\b.*)?;?", re.I | re.S)
_INSERT = re.compile(
    rf"INSERT\s+INTO\s+({_NAME})\s*\(([^)]*)\)\s*VALUES\s*\((.*?)\)(?:\s+RETURNING\b.*)?;?", re.I | re.S
)
_EQUALITY = re.compile(rf"({_NAME})\s*=\s*({_VALUE})(?:::\s*[\w ]+)?", re.I)
_LISTED = re.compile(rf"({_VALUE}|\w+(?:\([^()]*\))?)(?:::\s*[\w ]+)?\s*(?:,|$)", re.I)


@dataclass(frozen=True, slots=True)
class _Access:
    actor: int
    kind: Literal["read", "lock", "update", "insert"]
    table: str
    values: frozenset[tuple[str, str]]
    """Columns and what they are compared with, or set to."""


def advice(steps: Sequence[Step]) -> list[str]:
    """Returns what would keep these actors from each other, in words; empty if nothing follows."""
    accesses = [access for step in steps if (access := _access(step)) is not None]
    return list(dict.fromkeys([*_constraints(accesses), *_row_locks(accesses)]))


def _constraints(accesses: Sequence[_Access]) -> Iterator[str]:
    """Several actors looked for a row, found none, and inserted the same."""
    for read in accesses:
        if read.kind != "read":
            continue
        inserters = {
            one.actor
            for one in accesses
            if one.kind == "insert" and one.table == read.table and read.values <= one.values
        }
        if len(inserters) > 1:
            columns = ", ".join(sorted(column for column, _ in read.values))
            yield f"a UNIQUE constraint on {read.table}({columns})"


def _row_locks(accesses: Sequence[_Access]) -> Iterator[str]:
    """Several actors read the same row, then updated it by what they had read."""
    for read in accesses:
        if read.kind != "read":
            continue
        changers = {
            one.actor
            for at, one in enumerate(accesses)
            if one.kind == "update"
            and (one.table, one.values) == (read.table, read.values)
            and any(
                (earlier.actor, earlier.kind, earlier.table, earlier.values)
                == (one.actor, "read", read.table, read.values)
                for earlier in accesses[:at]
            )
        }
        if len(changers) > 1:
            columns = " and ".join(f"{column} = {value}" for column, value in sorted(read.values))
            yield f"SELECT … FOR UPDATE of {read.table} where {columns}"


def _access(step: Step) -> _Access | None:
    text = without_comments(step.text).strip()
    if (match := _INSERT.fullmatch(text)) is not None:
        columns = [_bare(column) for column in match[2].split(",")]
        listed = [one[1] for one in _LISTED.finditer(match[3])]
        if len(columns) == len(listed):
            return _Access(step.actor, "insert", match[1], frozenset(zip(columns, listed, strict=True)))
    elif (match := _UPDATE.fullmatch(text)) is not None:
        values = _equalities(match[2])
        if values is not None:
            return _Access(step.actor, "update", match[1], values)
    elif (match := _SELECT.fullmatch(text)) is not None:
        values = _equalities(match[2])
        if values is not None:
            return _Access(step.actor, "lock" if match["locks"] else "read", match[1], values)
    return None


def _equalities(condition: str) -> frozenset[tuple[str, str]] | None:
    """Returns columns and the values that they are to equal; None if the condition is of another form."""
    found = set()
    for part in re.split(r"\s+AND\s+", condition.strip(), flags=re.I):
        match = _EQUALITY.fullmatch(part.strip())
        if match is None:
            return None
        found.add((_bare(match[1]), match[2]))
    return frozenset(found)


def _bare(column: str) -> str:
    return column.strip().rpartition(".")[2].strip('"')
