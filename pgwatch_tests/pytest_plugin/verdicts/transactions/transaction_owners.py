"""Transactions of a process's owners: whose each id is, and who has committed since the last look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.pytest_plugin.verdicts.judge import CIRCLE


@dataclass(slots=True)
class TransactionOwners:
    """The transactions in one database; owners are told by their numbers."""

    _owners: dict[int, int] = field(default_factory=dict)
    """By the lower 32 bits of the ids."""
    _unseen: set[int] = field(default_factory=set)

    def commit(self, number: int, xid: int | None) -> bool:
        """Takes a commit. Returns whether others have committed since the last look."""
        if xid is not None:
            self._owners[xid % CIRCLE] = number
        others_wrote = bool(self._unseen - {number})
        self._unseen.add(number)
        return others_wrote

    def look(self) -> None:
        """All that was committed until now is seen."""
        self._unseen.clear()

    def judge(self, number: int, xmins: Iterable[int]) -> None:
        """Rows of these transactions are told of an owner."""
        for xmin in xmins:
            self._owners.setdefault(xmin, number)

    def beside(self, number: int, xmins: Iterable[int]) -> set[int]:
        """Returns those of the transactions that aren't known to be another owner's."""
        return {xmin for xmin in xmins if self._owners.get(xmin, number) == number}


def committed_with(connection: OwnConnection, xids: Iterable[int], tops: Sequence[int]) -> set[int]:
    """Returns those of the ids that were committed at the very time of one of `tops`: its subtransactions."""
    ids = list(xids)
    rows = connection.execute(
        "SELECT one.xid FROM pg_catalog.unnest(%(ids)s::bigint[]) AS one (xid) WHERE"
        " pg_catalog.pg_xact_commit_timestamp(one.xid::pg_catalog.text::pg_catalog.xid)"
        " OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.pg_xact_commit_timestamp("
        "(top.xid OPERATOR(pg_catalog.%%) 4294967296)::pg_catalog.text::pg_catalog.xid)"
        " FROM pg_catalog.unnest(%(tops)s::bigint[]) AS top (xid)))",
        {"ids": ids, "tops": list(tops)},
    ).fetchall()
    return {xid for (xid,) in rows if isinstance(xid, int)}
