"""The history of sweeps and of the schedule's jobs: who did what, when, and the outcome.

It is kept where the setting `history` says: an SQLite file, or a PostgreSQL's schema `pgwatch_tests`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from typing import Self

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import JsonConverter, make_converter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Float,
    Integer,
    RowMapping,
    Select,
    Text,
    cast,
    delete,
    insert,
    select,
)

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.column_types import AnyText, UtcTime, Words
from pgwatch_tests.history.layout import may_delete
from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.history.store import Store, default_file
from pgwatch_tests.history.tables import SWEEPS
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepReport

KEPT_ENTRIES = 10_000
"""The number of entries that are kept: the newest."""

_PYTHON: dict[type, type | tuple[type, ...]] = {
    UtcTime: datetime,
    AnyText: str,
    Words: tuple,
    Boolean: bool,
    Integer: int,
    BigInteger: int,
    Float: (float, int),
}
_ENTRY_COLUMNS = [column for column in SWEEPS.columns if column.name != "report"]


class History:
    """The history, for any thread. Its methods raise HistoryError if the store can't be read or written."""

    def __init__(self, store: Store, kept: int = KEPT_ENTRIES) -> None:
        self._store = store
        self._kept = kept

    @classmethod
    def open(cls, settings: Settings, kept: int = KEPT_ENTRIES) -> Self:
        """Returns the history that the settings name. It is connected to, and created, on its first use."""
        return cls(Store(settings.history or default_file()), kept)

    @property
    def name(self) -> str:
        """The place of the history, for messages; without a password."""
        return self._store.name

    def add(self, entry: HistoryEntry, report: SweepReport | None = None) -> HistoryEntry:
        """Records what happened, with the whole report if there is one. Returns the entry with its id.

        The oldest beyond the number to be kept are forgotten.
        """
        values = asdict(entry)
        del values["id"]
        values["report"] = None if report is None else _converter().dumps(report)
        with self._store.writing() as connection:
            added = connection.execute(insert(SWEEPS).values(values)).inserted_primary_key
            assert added is not None
            number = int(added[0])
            # By number rather than by count: it costs a look at the index. Numbers of recordings that
            # failed are missing, and make it forget a little earlier.
            # A role that may only insert leaves that to others.
            if number > self._kept and may_delete(connection, SWEEPS):
                connection.execute(delete(SWEEPS).where(SWEEPS.c.id <= number - self._kept))
        return replace(entry, id=number)

    def entries(self, limit: int = 50, database: str | None = None) -> tuple[HistoryEntry, ...]:
        """Returns the newest entries, newest first, of all databases or of one."""
        query = select(*_ENTRY_COLUMNS).order_by(SWEEPS.c.id.desc()).limit(limit)
        if database is not None:
            query = query.where(SWEEPS.c.database == database)
        with self._store.reading() as connection:
            return self._entries(connection, query)

    def last(self, job: str) -> HistoryEntry | None:
        """Returns the newest entry of one job, whoever ran it; None if it never ran."""
        query = select(*_ENTRY_COLUMNS).where(SWEEPS.c.job == job).order_by(SWEEPS.c.id.desc()).limit(1)
        with self._store.reading() as connection:
            entries = self._entries(connection, query)
        return entries[0] if entries else None

    def last_sweep(self, server: str, database: str) -> SweepReport | None:
        """Returns the report of the newest sweep there that deleted rows, or tried to; None without one."""
        query = (
            select(SWEEPS.c.id)
            .where(
                SWEEPS.c.server == server,
                SWEEPS.c.database == database,
                SWEEPS.c.action == "sweep",
                SWEEPS.c.dry_run.is_(False),
                SWEEPS.c.report.is_not(None),
                cast(SWEEPS.c.kinds, Text).like('%"rows"%'),
            )
            .order_by(SWEEPS.c.id.desc())
            .limit(1)
        )
        with self._store.reading() as connection:
            number = connection.execute(query).scalars().first()
        return None if number is None else self.report(number)

    def _entries(self, connection: Connection, query: Select[tuple[object, ...]]) -> tuple[HistoryEntry, ...]:
        try:
            return tuple(_entry(row) for row in connection.execute(query).mappings().all())
        except (ValueError, TypeError, OverflowError):
            # SQLite keeps values of any type: the message names the entry.
            for number in connection.execute(query.with_only_columns(SWEEPS.c.id)).scalars().all():
                one = select(*_ENTRY_COLUMNS).where(SWEEPS.c.id == number)
                try:
                    _entry(connection.execute(one).mappings().one())
                except (ValueError, TypeError, OverflowError):
                    raise HistoryError(
                        f"entry {number} of the history in {self.name} is damaged: delete that row of its "
                        "table sweeps"
                    ) from None
            raise

    def report(self, entry_id: int) -> SweepReport | None:
        """Returns the whole report of an entry; None if there is no such entry, or it has no report."""
        query = select(SWEEPS.c.report).where(SWEEPS.c.id == entry_id)
        with self._store.reading() as connection:
            text = connection.execute(query).scalars().first()
        if text is None:
            return None
        try:
            return _converter().loads(text, SweepReport)
        except (ValueError, BaseValidationError):
            raise HistoryError(
                f"this version of pgwatch-tests can't read the report of entry {entry_id} in {self.name}"
            ) from None


def _entry(row: RowMapping) -> HistoryEntry:
    """Returns the entry of a database row. Raises TypeError or ValueError if no version wrote such a row."""
    for column in _ENTRY_COLUMNS:
        value = row[column.name]
        if value is None and column.nullable:
            continue
        if not isinstance(value, _PYTHON[type(column.type)]) or value in (math.inf, -math.inf):
            raise TypeError(column.name)
    return HistoryEntry(**row)


@cache
def _converter() -> JsonConverter:
    return make_converter()
