"""The judgement of rows that were found after a test: new, changed, or somebody else's. Pure.

A row whose xmin is a transaction of the test's was inserted or updated by it. Which of the two is told by the
first of these that says anything:

1. The table: if the test has made it, all are new.
2. The server's counters: where nothing of the table was updated since the last look, all are new, unless rows
   of before may have been deleted and put back. What a transaction inserted before the first one that deletes
   isn't put back.
3. The test's hash in the row: it is the test's.
4. The stamp in a value, or `created_at`: before the test began, or later.
5. The number that a sequence gave the key: beyond its position at the last look, or not. A key beyond its
   position now is none that it gave.
6. The test's statements, where none is unclear: if they only insert into the table, or only update it.

Otherwise it is unclear. An update alone is no leak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pgwatch_tests.identity.value_tokens import TOKEN, parse
from pgwatch_tests.pytest_plugin.verdicts.look import FoundRow, FoundRows
from pgwatch_tests.testing.connections.commits import Commit
from pgwatch_tests.testing.connections.writes import Written

RowKind = Literal["new", "changed", "unclear"]

CIRCLE = 1 << 32
_MOST_EXAMPLES = 3
_TOKEN = re.compile(TOKEN, re.IGNORECASE)
# A stamp is cut to milliseconds, and clocks are compared by one question.
_SLACK_US = 2_000


@dataclass(frozen=True, slots=True)
class Suspect:
    """What is known of whoever is judged. Times are µs since 1970, by the client's and the server's clock."""

    digest: str
    """The hash of the test's id; empty for a fixture."""
    began_us: int
    began_server_us: int
    xids: frozenset[int]
    """Ids of its transactions, the lower 32 bits, subtransactions included where they are known."""
    written: frozenset[Written] | None
    """What its statements say that they write; None: not known."""


@dataclass(frozen=True, slots=True)
class RestoredRows:
    """Rows of before that a suspect may have deleted and put back."""

    not_of: frozenset[int] = frozenset()
    """The lower 32 bits of transactions whose rows aren't: they were over before anything was deleted."""


@dataclass(slots=True)
class Judged:
    """The judgement of one table's rows."""

    found: FoundRows
    kinds: Counter[RowKind] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    """The keys of a few new or unclear rows, as `id=42`."""
    of_others: Counter[int] = field(default_factory=Counter)
    """Rows of transactions that aren't known to be its own, by the lower 32 bits of their ids."""
    own: set[int] = field(default_factory=set)
    """The ids of its own transactions in rows, the lower 32 bits."""
    same_digest: int = 0
    """How many of the new rows bear its hash and were written by a transaction that isn't known."""


def judge(
    found: FoundRows,
    suspect: Suspect,
    *,
    may_be_updated: bool,
    last_number: int | None,
    restored: RestoredRows | None = None,
    is_own_table: bool = False,
) -> Judged:
    """Judges what was found in a table; `last_number` is its sequence's position at the last look.

    `restored`: rows of before that the suspect may have deleted and put back; None: there are none.
    `is_own_table`: whether the suspect has made the table.
    """
    judged = Judged(found)
    for row in found.told:
        digests, stamps = _tokens(row.strings)
        if row.xmin not in suspect.xids:
            if suspect.digest and digests == {suspect.digest}:
                judged.same_digest += 1
                _count(judged, row, "new")
            else:
                judged.of_others[row.xmin] += 1
            continue
        judged.own.add(row.xmin)
        numbers = None if last_number is None else (last_number, found.last_number or 0)
        may_be_restored = restored is not None and row.xmin not in restored.not_of
        if is_own_table:
            _count(judged, row, "new")
            continue
        kind = _kind(row, suspect, digests, stamps, may_be_updated or may_be_restored, numbers)
        if kind == "unclear" and not may_be_restored:
            kind = as_stated(suspect.written, found.shape.table, found.shape.root_table)
        _count(judged, row, kind)
    beyond = found.rows - len(found.told)
    if beyond:
        # Those that were only counted are what all others are, if these are all alike.
        kinds = set(judged.kinds)
        alike = kinds.pop() if len(kinds) == 1 and not judged.of_others else "unclear"
        judged.kinds[alike] += beyond
    return judged


def as_stated(written: frozenset[Written] | None, *tables: str) -> RowKind:
    """Returns what rows of a table are by the statements: new if they only insert, changed if they only
    update."""
    if written is None or any(one.verb == "unclear" for one in written):
        return "unclear"
    verbs = {one.verb for one in written if one.table in tables} - {"delete", "truncate"}
    return "new" if verbs == {"insert"} else "changed" if verbs == {"update"} else "unclear"


def removes_rows(written: Collection[Written] | None, *tables: str) -> bool:
    """Whether a table's rows may have been deleted, as far as the statements say."""
    return written is None or any(
        one.verb == "unclear" or (one.verb in ("delete", "truncate") and one.table in tables)
        for one in written
    )


def rows_put_back(commits: Sequence[Commit], *tables: str) -> RestoredRows | None:
    """Returns which of a table's rows may have been deleted and put back, by what commits say, in their
    order; None: none."""
    first = next((at for at, one in enumerate(commits) if removes_rows(one.written, *tables)), None)
    if first is None or not any(_may_insert(one.written, tables) for one in commits[first:]):
        return None
    return RestoredRows(lower(one.xid for one in commits[:first] if one.xid is not None))


def _may_insert(written: Collection[Written] | None, tables: Collection[str]) -> bool:
    return written is None or any(
        one.verb == "unclear" or (one.verb in ("insert", "upsert") and one.table in tables) for one in written
    )


def written_in(commits: Iterable[Commit]) -> frozenset[Written] | None:
    """Returns what all commits say that they write; None if one of them doesn't say."""
    written: frozenset[Written] = frozenset()
    for one in commits:
        if one.written is None:
            return None
        written |= one.written
    return written


def names_table(written: Collection[Written] | None, *tables: str) -> bool:
    """Whether statements may write to a table, as far as they say."""
    return written is None or any(one.verb == "unclear" or one.table in tables for one in written)


def lower(xids: Iterable[int]) -> frozenset[int]:
    """The lower 32 bits of transactions' ids, as rows have them."""
    return frozenset(xid % CIRCLE for xid in xids)


def is_between(xmin: int, first: int, last: int) -> bool:
    """Whether the id in a row is behind `first` and before `last`, which have 64 bits."""
    return 0 < (xmin - first) % CIRCLE < last - first


def _kind(
    row: FoundRow,
    suspect: Suspect,
    digests: set[str],
    stamps: list[int],
    may_be_updated: bool,
    numbers: tuple[int, int] | None,
) -> RowKind:
    """`numbers` are the positions of the key's sequence, before and now."""
    if not may_be_updated or (suspect.digest and suspect.digest in digests):
        return "new"
    if stamps:
        return "new" if min(stamps) * 1000 >= suspect.began_us - _SLACK_US else "changed"
    if row.created_us is not None:
        return "new" if row.created_us >= suspect.began_server_us - _SLACK_US else "changed"
    if row.generated is not None and numbers is not None and row.generated <= numbers[1]:
        return "new" if row.generated > numbers[0] else "changed"
    return "unclear"


def _count(judged: Judged, row: FoundRow, kind: RowKind) -> None:
    judged.kinds[kind] += 1
    if kind != "changed" and row.key and len(judged.examples) < _MOST_EXAMPLES:
        judged.examples.append(row.key)


def _tokens(strings: str) -> tuple[set[str], list[int]]:
    """Hashes of tests, and stamps in milliseconds."""
    if not strings:
        return set(), []
    tokens = [token for match in _TOKEN.finditer(strings) if (token := parse(match[1])) is not None]
    return {token.test for token in tokens if token.test}, [token.milliseconds for token in tokens]
