"""Totals per table of the deleted, kept and changed rows of a sweep, for its report.

Rows of partitions count for their root. Where one row is the reason for others to stay, it is named:
`public.member (id=7)`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.model import (
    AlsoReferring,
    Change,
    ChangedRows,
    Kept,
    SideEffects,
    TableRows,
)
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph, table_of
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.rows.real_parents import MOST_NAMED
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.rows.tally import PassTally
from pgwatch_tests.sweep.tids import literal
from pgwatch_tests.text.sql_names import shown

_MOST_NAMED = 10
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class _KeyColumns:
    """A row of queries/sweep/key_columns.sql."""

    oid: int
    columns: list[str]


class Examples:
    """Names the rows that refusals give as examples, by their keys."""

    def __init__(self, session: DatabaseSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def details(self, refusals: Iterable[Refusal]) -> dict[Refusal, str]:
        """Returns the detail of each refusal, with the key of its example if that can be read.

        Raises nothing.
        """
        several = list(refusals)
        by_leaf: defaultdict[int, list[int]] = defaultdict(list)
        for refusal in several:
            if refusal.example is not None and refusal.subject:
                by_leaf[refusal.example[0]].append(refusal.example[1])
        keys = self.keys(by_leaf)
        return {refusal: _named(refusal, keys) for refusal in several}

    def keys(self, by_leaf: Mapping[int, Sequence[int]]) -> dict[tuple[int, int], str]:
        """Returns `id=7` of each of these rows, by leaf and tid, as far as their keys can be read.

        Raises nothing.
        """
        keys: dict[tuple[int, int], str] = {}
        with suppress(psycopg.Error, PgwatchError):
            for columns in self._key_columns([*by_leaf]):
                with suppress(psycopg.Error):
                    tids = by_leaf[columns.oid]
                    values = self._values(columns, tids)
                    keys |= {(columns.oid, tid): key for tid, key in zip(tids, values, strict=True)}
        return keys

    def _key_columns(self, leaves: Sequence[int]) -> list[_KeyColumns]:
        if not leaves:
            return []
        oids = "{" + ",".join(map(str, leaves)) + "}"
        return self._session.ask("sweep/key_columns", _KeyColumns, {"oids": oids})

    def _values(self, key: _KeyColumns, tids: Sequence[int]) -> list[str]:
        """`id=7` of each of these rows, empty where there is none by now."""
        statement = self._statements.values(key.oid, key.columns)

        def read(connection: OwnConnection) -> list[tuple[object, ...]]:
            return connection.execute(statement, {"tids": literal(tids)}).fetchall()

        found = {}
        for tid, *values in self._session.run(read):
            pairs = zip(key.columns, values, strict=True)
            found[str(tid)] = ", ".join(
                f"{shown(column)}={_cut(shown(str(value)))}" for column, value in pairs
            )
        return [found.get(f"({tid >> 16},{tid & 65535})", "") for tid in tids]


def rows_by_table(graph: ForeignKeyGraph, tallies: Iterable[PassTally]) -> tuple[TableRows, ...]:
    """Returns the rows that were deleted, or may be, by table."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for tally in tallies:
        for place, counts in enumerate((tally.marked, tally.dependent, tally.unmarked)):
            for leaf, rows in counts.items():
                sums[table_of(graph, leaf)][place] += rows
    sizes: defaultdict[tuple[str, str], float] = defaultdict(float)
    for relation in graph.relations.values():
        if relation.kind != "p":
            sizes[table_of(graph, relation.oid)] += relation.about_rows
    return tuple(
        TableRows(*name, marked, dependent, unmarked, of=max(round(sizes[name]), marked + dependent))
        for name, (marked, dependent, unmarked) in sorted(sums.items())
        if marked or dependent
    )


def kept_by_table(graph: ForeignKeyGraph, tally: PassTally, examples: Examples) -> tuple[Kept, ...]:
    """The rows that stay, each with a reason that names a row where one row is the reason."""
    counted: defaultdict[tuple[tuple[str, str], Refusal], int] = defaultdict(int)
    for (leaf, refusal), rows in tally.kept.items():
        counted[table_of(graph, leaf), refusal] += rows
    details = examples.details({refusal for _, refusal in counted})
    ordered = sorted(counted.items(), key=lambda one: (one[0][0], one[0][1].reason, one[0][1].detail))
    return tuple(Kept(*name, rows, refusal.reason, details[refusal]) for (name, refusal), rows in ordered)


def also_referring(graph: ForeignKeyGraph, tally: PassTally, examples: Examples) -> tuple[AlsoReferring, ...]:
    """The dependent rows that go and refer to real rows that stay, by table, most rows first."""
    found = tally.also_refer
    by_leaf: defaultdict[int, list[int]] = defaultdict(list)
    for (leaf, _), tids in found.examples.items():
        by_leaf[leaf] += [tid for tid in tids if tid not in by_leaf[leaf]]
    keys = examples.keys(by_leaf)
    named: defaultdict[tuple[tuple[str, str], tuple[str, str]], list[str]] = defaultdict(list)
    for (leaf, parent), tids in found.examples.items():
        named[table_of(graph, leaf), table_of(graph, parent)] += filter(
            None, (keys.get((leaf, tid)) for tid in tids)
        )
    totals: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    for (leaf, parent), rows in found.rows.items():
        totals[table_of(graph, leaf), table_of(graph, parent)] += rows
    partly = {table_of(graph, leaf) for leaf in found.partly}
    return tuple(
        AlsoReferring(*(*table, rows, *parent), table in partly, tuple(named[table, parent][:MOST_NAMED]))
        for (table, parent), rows in totals.most_common()
    )


def changed_rows(graph: ForeignKeyGraph, tallies: Iterable[PassTally]) -> tuple[ChangedRows, ...]:
    """The rows that stay but refer to what went, by the columns they do so by."""
    counted: Counter[tuple[str, str, tuple[str, ...], Change]] = Counter()
    for tally in tallies:
        for (leaf, oid), rows in tally.changed.items():
            key = graph.by_oid[oid]
            changes: Change = "set_null" if key.on_delete == "n" else "set_default"
            how: Change = changes if key.enforced else "not_enforced"
            columns = tuple(map(shown, key.set_columns if key.changes else key.child_columns))
            counted[*table_of(graph, leaf), columns, how] += rows
    return tuple(ChangedRows(*which, rows) for which, rows in sorted(counted.items()))


def side_effects(graph: ForeignKeyGraph, tallies: Iterable[PassTally]) -> tuple[SideEffects, ...]:
    """Returns the rows that triggers wrote besides, by table."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    emptied: set[tuple[str, str]] = set()
    for tally in tallies:
        for oid, one in tally.effects.items():
            name = table_of(graph, oid)
            for place, rows in enumerate((one.inserted, one.updated, one.deleted)):
                sums[name][place] += rows
            if one.emptied:
                emptied.add(name)
    return tuple(
        SideEffects(*name, inserted, updated, deleted, name in emptied)
        for name, (inserted, updated, deleted) in sorted(sums.items())
        if inserted or updated or deleted or name in emptied
    )


def sentences(skipped: Iterable[Skipped]) -> tuple[str, ...]:
    """Returns sentences on unchecked tables and what would help: one for all tables with the same help."""
    tables: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in skipped:
        tables[one.reason, one.hint].append(f"{one.schema}.{one.table}" if one.table else "")
    return tuple(
        f"{f'{_listed(named)}: ' if any(named) else ''}{reason}{f' ({hint})' if hint else ''}"
        for (reason, hint), named in tables.items()
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _named(refusal: Refusal, keys: Mapping[tuple[int, int], str]) -> str:
    key = keys.get(refusal.example, "") if refusal.example is not None else ""
    if not key:
        return refusal.detail
    return refusal.detail.replace(refusal.subject, f"{refusal.subject} ({key})", 1)


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
