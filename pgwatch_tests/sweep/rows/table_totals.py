"""Sums up, by table, what came of the passes of a sweep. Rows of partitions count for their root."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.sweep.model import Change, ChangedRows, Kept, SideEffects, TableRows
from pgwatch_tests.sweep.plan.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.rows.example_rows import Examples
from pgwatch_tests.sweep.rows.tally import Tally
from pgwatch_tests.text.sql_names import shown

_MOST_NAMED = 10


def rows_by_table(graph: ForeignKeys, tallies: Iterable[Tally]) -> tuple[TableRows, ...]:
    """The rows that went, or may go."""
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


def kept_by_table(graph: ForeignKeys, tally: Tally, examples: Examples) -> tuple[Kept, ...]:
    """The rows that stay, each with a reason that names a row where one row is the reason."""
    counted: defaultdict[tuple[tuple[str, str], Refusal], int] = defaultdict(int)
    for (leaf, refusal), rows in tally.kept.items():
        counted[table_of(graph, leaf), refusal] += rows
    details = examples.details({refusal for _, refusal in counted})
    ordered = sorted(counted.items(), key=lambda one: (one[0][0], one[0][1].reason, one[0][1].detail))
    return tuple(Kept(*name, rows, refusal.reason, details[refusal]) for (name, refusal), rows in ordered)


def changed_rows(graph: ForeignKeys, tallies: Iterable[Tally]) -> tuple[ChangedRows, ...]:
    """The rows that stay but refer to what went, by the columns they do so by."""
    counted: Counter[tuple[str, str, tuple[str, ...], Change]] = Counter()
    for tally in tallies:
        for (leaf, oid), rows in tally.changed.items():
            key = graph.by_oid[oid]
            changes: Change = "set_null" if key.on_delete == "n" else "set_default"
            how: Change = changes if key.enforced else "not_enforced"
            counted[*table_of(graph, leaf), tuple(map(shown, key.child_columns)), how] += rows
    return tuple(ChangedRows(*which, rows) for which, rows in sorted(counted.items()))


def side_effects(graph: ForeignKeys, tallies: Iterable[Tally]) -> tuple[SideEffects, ...]:
    """What triggers wrote besides, by table."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for tally in tallies:
        for oid, one in tally.effects.items():
            for place, rows in enumerate((one.inserted, one.updated, one.deleted)):
                sums[table_of(graph, oid)][place] += rows
    return tuple(SideEffects(*name, *rows) for name, rows in sorted(sums.items()) if any(rows))


def table_of(graph: ForeignKeys, leaf: int) -> tuple[str, str]:
    """The schema and name of the table that a leaf belongs to."""
    relation = graph.relations[graph.relations[leaf].top]
    return shown(relation.schema), shown(relation.name)


def sentences(skipped: Iterable[Skipped]) -> tuple[str, ...]:
    """What couldn't be looked at, and what would help: one for all tables that the same would help."""
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
