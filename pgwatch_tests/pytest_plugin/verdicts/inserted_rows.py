"""Inserted rows: those of a test's known transactions that may be deleted, since nothing else can be in them.

A verdict may go by what statements say. A removal may not: a trigger could have updated a real row, or
deleted it and put it back, and that row would bear the same id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pgwatch_tests.pytest_plugin.verdicts.judge import RestoredRows, Suspect, judge, lower
from pgwatch_tests.pytest_plugin.verdicts.look import Counters, FoundRows
from pgwatch_tests.pytest_plugin.verdicts.transactions.pending_commits import PendingCommits


def inserting_transactions(
    work: PendingCommits, counters: Counters, found: Iterable[FoundRows], suspect: Suspect
) -> dict[int, frozenset[int]]:
    """Returns the transactions all of whose rows in a table are surely new, by the oid of its root.

    Of their ids, the lower 32 bits. `suspect` has what is known of the test.
    """
    known = lower(one.xid for one in work.commits if one.xid is not None)
    suspect = replace(suspect, xids=known, written=None)
    new: defaultdict[int, set[int]] = defaultdict(set)
    others: defaultdict[int, set[int]] = defaultdict(set)
    for one in found:
        shape = one.shape
        if one.rows > len(one.told):
            # Nobody has looked at each of them.
            others[shape.root_oid] |= known
            continue
        now, then = counters.tables.get(shape.oid), work.before.of(shape.oid)
        is_deleted = now is None or now.deleted != (then.deleted if then else 0)
        for row in one.told:
            judged = judge(
                replace(one, told=(row,), rows=1),
                suspect,
                may_be_updated=work.may_be_updated(counters, shape.oid),
                restored=RestoredRows() if is_deleted else None,
                last_number=work.before.last_numbers.get(shape.oid),
            )
            if row.xmin in known:
                (new if judged.kinds["new"] else others)[shape.root_oid].add(row.xmin)
    sure = {oid: frozenset(xids - others[oid]) for oid, xids in new.items()}
    return {oid: xids for oid, xids in sure.items() if xids}
