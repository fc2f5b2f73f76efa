"""Checks of fleets on record: each machine adds the part that it made, and anyone reads all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Self, TypeVar

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import JsonConverter, make_converter
from sqlalchemy import delete, insert, select

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.layout import may_delete
from pgwatch_tests.history.store import Store, default_file
from pgwatch_tests.history.tables import FLEET_CHECKS
from pgwatch_tests.leaks.model import LeaksOfDatabases
from pgwatch_tests.record.merging.recorded_fleet import RecordedFleet
from pgwatch_tests.settings.load import Settings

_OF_RECORDINGS = "recordings: "
"""Begins the names of reports on recordings: a check may have the same name."""

P = TypeVar("P", LeaksOfDatabases, RecordedFleet)


class FleetChecks:
    """The checks of fleets, for any thread. Its methods raise HistoryError if the store can't be used."""

    def __init__(self, store: Store, keep_s: float) -> None:
        self._store = store
        self._keep_s = keep_s

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Returns those in the history that the settings name, which is made on its first use."""
        return cls(Store(settings.history or default_file()), settings.keep_runs_s)

    @property
    def name(self) -> str:
        """The place of the history, for messages; without a password."""
        return self._store.name

    def add(self, name: str, part: LeaksOfDatabases) -> None:
        """Records a part of the check of that name; the latest of the same part counts.

        Those that are older than `keep_runs` are forgotten, if this role may delete.
        """
        self._add(name, part.checked_at, part)

    def parts(self, name: str) -> tuple[LeaksOfDatabases, ...]:
        """Returns all parts of the check of that name, in the order that they came; the same part may be
        there several times."""
        return self._parts(name, LeaksOfDatabases)

    def add_recorded(self, name: str, part: RecordedFleet) -> None:
        """Records a part of the report on recordings of that name, as `add` does for checks."""
        self._add(f"{_OF_RECORDINGS}{name}", datetime.now(UTC), part)

    def recorded_parts(self, name: str) -> tuple[RecordedFleet, ...]:
        """Returns all parts of the report on recordings of that name, as `parts` does for checks."""
        return self._parts(f"{_OF_RECORDINGS}{name}", RecordedFleet)

    def _add(self, name: str, at: datetime, part: LeaksOfDatabases | RecordedFleet) -> None:
        oldest = datetime.now(UTC) - timedelta(seconds=self._keep_s)
        values = {"name": name, "checked_at": at, "report": _converter().dumps(part)}
        with self._store.writing() as connection:
            connection.execute(insert(FLEET_CHECKS).values(values))
            if may_delete(connection, FLEET_CHECKS):
                connection.execute(delete(FLEET_CHECKS).where(FLEET_CHECKS.c.checked_at < oldest))

    def _parts(self, name: str, form: type[P]) -> tuple[P, ...]:
        query = (
            select(FLEET_CHECKS.c.id, FLEET_CHECKS.c.report)
            .where(FLEET_CHECKS.c.name == name)
            .order_by(FLEET_CHECKS.c.id)
        )
        parts = []
        with self._store.reading() as connection:
            for number, text in connection.execute(query):
                try:
                    parts.append(_converter().structure(json.loads(text), form))
                except (ValueError, TypeError, KeyError, BaseValidationError):
                    raise HistoryError(
                        f"the check {number} of a fleet in {self.name} is damaged, or of another version"
                    ) from None
        return tuple(parts)


@cache
def _converter() -> JsonConverter:
    return make_converter()
