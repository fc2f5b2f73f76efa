"""Sums up, by table, what came of the passes of a sweep. Rows of partitions count for their root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.sweep.execute import Tally
from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import Kept, TableRows
from pgwatch_tests.sweep.refusals import Refusal


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
    """What couldn't be looked at, and what would help."""
    return tuple(
        f"{f'{one.schema}.{one.table}: ' if one.table else ''}{one.reason}"
        f"{f' ({one.hint})' if one.hint else ''}"
        for one in skipped
    )
