"""The history of sweeps and of the schedule's jobs: who did what, when, and the outcome.

It is kept where the setting `history` says: an SQLite file, or a PostgreSQL's schema `pgwatch_tests`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from typing import Self

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import JsonConverter, make_converter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    cast,
    delete,
    insert,
    select,
)
from sqlalchemy.types import TypeDecorator

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.history.store import Store, default_file
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepReport

KEPT_ENTRIES = 10_000
"""The number of entries that are kept: the newest."""


class _UtcTime(TypeDecorator[datetime]):
    """A moment; SQLite keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        if value is None:
            return None
        words = json.loads(value)
        if not isinstance(words, list):
            raise ValueError("no list")
        return tuple(map(str, words))


class _AnyText(TypeDecorator[str]):
    """Other people's text, of which no store takes NULs and halves of surrogate pairs."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


_LAYOUT = 1
_METADATA = MetaData()
_SWEEPS = Table(
    "sweeps",
    _METADATA,
    # SQLite counts up only an INTEGER, and without AUTOINCREMENT gives the last number twice.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("started_at", _UtcTime, nullable=False),
    Column("action", _AnyText, nullable=False),
    Column("trigger", _AnyText, nullable=False),
    Column("job", _AnyText, nullable=False),
    Column("account", _AnyText, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("role", _AnyText, nullable=False),
    Column("server", _AnyText, nullable=False),
    Column("database", _AnyText, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("kinds", _Words, nullable=False),
    Column("markers", _Words, nullable=False),
    Column("min_age_s", Float(53), nullable=False),
    Column("result", _AnyText, nullable=False),
    Column("reason", _AnyText, nullable=False),
    Column("planned_rows", BigInteger, nullable=False),
    Column("deleted_rows", BigInteger, nullable=False),
    Column("kept_rows", BigInteger, nullable=False),
    Column("orphans_removed", BigInteger, nullable=False),
    Column("leaked_rows", BigInteger),
    Column("leftovers", BigInteger),
    Column("passes", Integer, nullable=False),
    Column("duration_s", Float(53), nullable=False),
    Column("longest_transaction_s", Float(53), nullable=False),
    # The whole SweepReport as JSON, if there is one.
    Column("report", Text),
    Index("sweeps_job", "job", "id"),
    sqlite_autoincrement=True,
)
_PYTHON: dict[type, type | tuple[type, ...]] = {
    _UtcTime: datetime,
    _AnyText: str,
    _Words: tuple,
    Boolean: bool,
    Integer: int,
    BigInteger: int,
    Float: (float, int),
}
_ENTRY_COLUMNS = [column for column in _SWEEPS.columns if column.name != "report"]


class History:
    """The history, for any thread. Its methods raise HistoryError if the store can't be read or written."""

    def __init__(self, store: Store, kept: int = KEPT_ENTRIES) -> None:
        self._store = store
        self._kept = kept

    @classmethod
    def open(cls, settings: Settings, kept: int = KEPT_ENTRIES) -> Self:
        """Returns the history that the settings name. It is connected to, and created, on its first use."""
        return cls(Store(settings.history or default_file(), _METADATA, _LAYOUT), kept)

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
            added = connection.execute(insert(_SWEEPS).values(values)).inserted_primary_key
            assert added is not None
            number = int(added[0])
            # By number rather than by count: it costs a look at the index. Numbers of recordings that
            # failed are missing, and make it forget a little earlier.
            connection.execute(delete(_SWEEPS).where(_SWEEPS.c.id <= number - self._kept))
        return replace(entry, id=number)

    def entries(self, limit: int = 50, database: str | None = None) -> tuple[HistoryEntry, ...]:
        """Returns the newest entries, newest first, of all databases or of one."""
        query = select(*_ENTRY_COLUMNS).order_by(_SWEEPS.c.id.desc()).limit(limit)
        if database is not None:
            query = query.where(_SWEEPS.c.database == database)
        with self._store.reading() as connection:
            return self._entries(connection, query)

    def last(self, job: str) -> HistoryEntry | None:
        """Returns the newest entry of one job, whoever ran it; None if it never ran."""
        query = select(*_ENTRY_COLUMNS).where(_SWEEPS.c.job == job).order_by(_SWEEPS.c.id.desc()).limit(1)
        with self._store.reading() as connection:
            entries = self._entries(connection, query)
        return entries[0] if entries else None

    def last_sweep(self, server: str, database: str) -> SweepReport | None:
        """Returns the report of the newest sweep there that deleted rows, or tried to; None without one."""
        query = (
            select(_SWEEPS.c.id)
            .where(
                _SWEEPS.c.server == server,
                _SWEEPS.c.database == database,
                _SWEEPS.c.action == "sweep",
                _SWEEPS.c.dry_run.is_(False),
                _SWEEPS.c.report.is_not(None),
                cast(_SWEEPS.c.kinds, Text).like('%"rows"%'),
            )
            .order_by(_SWEEPS.c.id.desc())
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
            for number in connection.execute(query.with_only_columns(_SWEEPS.c.id)).scalars().all():
                one = select(*_ENTRY_COLUMNS).where(_SWEEPS.c.id == number)
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
        query = select(_SWEEPS.c.report).where(_SWEEPS.c.id == entry_id)
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
