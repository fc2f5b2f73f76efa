"""Database rows: reads, locks and deletes rows over a sweep's connection, named by leaf and tid."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.pipelined import Asked, all_answers, answer, answers
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.related_rows import Related
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.tids import Tids, read_eight, read_four, read_tids
from pgwatch_tests.text.numbers import plural

Versions = Mapping[int, int]
"""Rows of a leaf: tids, each with its xmin."""

GONE = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName)
"""Errors of a statement whose planned tables or columns are gone, or are others by now."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one DELETE deleted, by leaf."""

    rows: Mapping[int, Versions]
    took_s: float | None
    """None if it can't be told."""


class DatabaseRows:
    """Its methods raise what `session.running` does."""

    def commit(self, rows: int) -> None:
        """Commits the DELETEs of so many rows. Raises ConnectionLostError that says so if nobody knows."""
        try:
            self._session.execute(b"COMMIT")
        except ConnectionLostError as error:
            unknown = f"whether {plural(rows, 'more row')} went isn't known: the COMMIT wasn't answered"
            raise type(error)(f"{str(error).rstrip('.')}; {unknown}") from None

    def __init__(self, session: DatabaseSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def versions(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """Returns the existing ones of these rows, each with its xmin: a tid may be another row's by now."""
        return self._versions(self._statements.versions(leaf), tids)

    def lock(self, wanted: Mapping[int, Sequence[int]]) -> dict[int, Versions]:
        """Locks rows for deletion, without waiting; returns the locked ones by leaf, each with its xmin."""
        return self._each_versions([(leaf, self._statements.lock(leaf), wanted[leaf]) for leaf in wanted])

    def lock_for_change(self, wanted: Mapping[int, Sequence[int]]) -> dict[int, Versions]:
        """Locks rows for a change, without waiting; returns the locked ones by leaf, each with its xmin."""
        return self._each_versions(
            [(leaf, self._statements.lock_for_change(leaf), wanted[leaf]) for leaf in wanted]
        )

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """Returns the rows that refer to these: place of the one referred to, leaf, tid, xmin, flags."""
        return self._related(self._statements.children(key, leaf), key.child, tids)

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """Returns the rows that these refer to: place of the one that refers, leaf, tid, xmin, flags."""
        return self._related(self._statements.parents(key, leaf), key.parent, tids)

    def referring(
        self, key: ForeignKey, leaf: int, tids: Sequence[int]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Returns what `children` does, without flags: place, leaf, tid, xmin."""
        found = self._related(self._statements.referring(key, leaf), key.child, tids)
        return zip(found.places, found.leaves, found.tids, found.xmins, strict=True)

    def delete(
        self,
        going: Sequence[Mapping[int, Sequence[int]]],
        meanwhile: Callable[[], None] = lambda: None,
        before: Sequence[bytes] = (),
    ) -> tuple[list[Deleted], psycopg.Error | None]:
        """Deletes rows, in one statement for each mapping; returns what went, up to the one that failed.

        `before` are settings to make first. `meanwhile`: see `answers`.
        """
        asked = [Asked(setting) for setting in before]
        for rows in going:
            leaves = tuple(rows)
            bound = {f"tids_{place}": Tids(rows[leaf]) for place, leaf in enumerate(leaves)}
            asked.append(Asked(self._statements.delete(leaves, sum(map(len, rows.values()))), bound))
        found = answers(self._session, asked, meanwhile)
        answered = found.rows[len(before) :]
        times = _times(answered, found.error, self._session.last_duration_s)
        deleted = [
            Deleted(_by_leaf(tuple(rows), gone), took_s)
            for rows, gone, took_s in zip(going, answered, times, strict=False)
        ]
        return deleted, found.error

    def current(self, leaf: int, tids: Sequence[int]) -> dict[int, int | None]:
        """Returns the present tids of rows that this transaction may have changed, by former tid; None if
        gone."""
        found = self._fetch(self._statements.current(leaf), {"tids": Tids(tids)})
        return {tids[place]: None if tid is None else int.from_bytes(tid) for place, tid in found}

    def dangling(self, asked: Sequence[tuple[ForeignKey, int, Sequence[int]]]) -> list[list[int]]:
        """Returns the rows of leaves, possibly changed by this transaction, that refer to no row by a key."""
        found = all_answers(
            self._session,
            [Asked(self._statements.dangling(key, leaf), {"tids": Tids(tids)}) for key, leaf, tids in asked],
        )
        return [[tids[place] for (place,) in rows] for (_, _, tids), rows in zip(asked, found, strict=True)]

    def _versions(self, statement: bytes, tids: Sequence[int]) -> dict[int, int]:
        if not tids:
            return {}
        [(found, xmins)] = self._fetch(statement, {"tids": Tids(tids)})
        return _by_tid(found, xmins)

    def _each_versions(self, asked: Sequence[tuple[int, bytes, Sequence[int]]]) -> dict[int, Versions]:
        asking = [Asked(statement, {"tids": Tids(tids)}) for _, statement, tids in asked]
        found = all_answers(self._session, asking)
        return {
            leaf: _by_tid(tids, xmins) for (leaf, _, _), [(tids, xmins)] in zip(asked, found, strict=True)
        }

    def _related(self, statement: bytes, other: int, tids: Sequence[int]) -> Related:
        # Of a prepared one, the planner forgets how many tids there are, and asks each partition for each.
        prepare = None if self._statements.is_single(other) else False
        [(led_from, leaves, raw_tids, xmins, *flags)] = self._fetch(statement, {"tids": Tids(tids)}, prepare)
        place = {tid: place for place, tid in enumerate(tids)}
        found = read_tids(raw_tids)
        related = Related(
            [place[tid] for tid in read_tids(led_from)],
            array("I", [leaves]) * len(found) if isinstance(leaves, int) else read_four(leaves),
            found,
            read_four(xmins),
            read_eight(flags[0]) if flags else array("Q", bytes(8 * len(found))),
        )
        return related if len(place) == len(tids) else _at_each_place(related, tids)

    def _fetch(
        self, statement: bytes, bound: Mapping[str, Tids], prepare: bool | None = None
    ) -> list[TupleRow]:
        return self._session.run(lambda connection: answer(connection, Asked(statement, bound, prepare)))


def _at_each_place(related: Related, tids: Sequence[int]) -> Related:
    """The same where some were asked about several times: these rows at each of their places."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, tid in enumerate(tids):
        places[tid].append(place)
    return Related.of(
        (each, leaf, tid, xmin, flags)
        for place, leaf, tid, xmin, flags in related
        for each in places[tids[place]]
    )


def _times(
    found: Sequence[Sequence[TupleRow]], error: psycopg.Error | None, together_s: float
) -> list[float | None]:
    """How long each took, by when the next one began; the server tells that in the last column."""
    begun = [float(rows[0][-1]) if rows else None for rows in found]
    ended = begun[1:]
    if begun:
        first_s = begun[0]
        ended.append(None if error or first_s is None else first_s + together_s)
    return [
        None if since is None or until is None else max(0.0, until - since)
        for since, until in zip(begun, ended, strict=True)
    ]


def _by_leaf(leaves: Sequence[int], rows: Sequence[TupleRow]) -> dict[int, Versions]:
    gone: dict[int, dict[int, int]] = {leaf: {} for leaf in leaves}
    for place, tid, xmin, _ in rows:
        if isinstance(xmin, int):
            gone[leaves[place]][int.from_bytes(tid)] = xmin
        else:
            gone[leaves[place]] = _by_tid(tid, xmin)
    return {**gone}


def _by_tid(tids: bytes | None, xmins: bytes | None) -> dict[int, int]:
    return dict(zip(read_tids(tids), read_four(xmins), strict=True))
