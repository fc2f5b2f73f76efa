"""Own transactions of the tests of this process, as the plugin knows them. Only the standard library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

OwnTransactions = Mapping[int, frozenset[int]]
"""The lower 32 bits of transactions' ids, by the oid of the table, or of its root, into which they have
inserted all rows that bear these ids."""
AskForOwn = Callable[[str, str], OwnTransactions]
"""Given a database's connection string, and the id of a test that hasn't ended."""

_asked: list[AskForOwn] = []


def answer_with(ask: AskForOwn) -> Callable[[], None]:
    """Has `ask` answer from now on; it raises nothing. Returns what ends that."""
    _asked.append(ask)
    return lambda: _asked.remove(ask)


def own_transactions(dsn: str, test: str) -> OwnTransactions:
    """Returns the transactions of a test that have left rows in a database; none without the plugin."""
    own: dict[int, frozenset[int]] = {}
    for ask in tuple(_asked):
        for oid, xids in ask(dsn, test).items():
            own[oid] = own.get(oid, frozenset()) | xids
    return own
