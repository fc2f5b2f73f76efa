"""Sums up, by table, what came of the passes of a sweep. Rows of partitions count for their root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.sweep.execute import Tally
from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import Kept, TableRows
from pgwatch_tests.sweep.refusals import Refusal

_MOST_NAMED = 10


def rows_by_table(graph: ForeignKeys, tallies: Iterable[Tally]) -> tuple[TableRows, ...]:
    """The rows that went, or may go."""
    marked: defaultdict[tuple[str, str], int] = defaultdict(int)
    dependent: defaultdict[tuple[str, str], int] = defaultdict(int)
    for tally in tallies:
        for leaf, rows in tally.marked.items():
            marked[table_of(graph, leaf)] += rows
        for leaf, rows in tally.dependent.items():
            dependent[table_of(graph, leaf)] += rows
    return tuple(TableRows(*name, marked[name], dependent[name]) for name in sorted({*marked, *dependent}))


def kept_by_table(graph: ForeignKeys, tally: Tally) -> tuple[Kept, ...]:
    """The rows that stay."""
    counted: defaultdict[tuple[tuple[str, str], Refusal], int] = defaultdict(int)
    for (leaf, refusal), rows in tally.kept.items():
        counted[table_of(graph, leaf), refusal] += rows
    ordered = sorted(counted.items(), key=lambda one: (one[0][0], one[0][1].reason, one[0][1].detail))
    return tuple(Kept(*name, rows, refusal.reason, refusal.detail) for (name, refusal), rows in ordered)


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
