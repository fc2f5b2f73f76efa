"""The history of runs: summaries are added to the store, and read again, one by one and as trends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Self

from sqlalchemy import Connection, RowMapping, select

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.runs import retention
from pgwatch_tests.history.runs.addition import add_run
from pgwatch_tests.history.runs.builds import Builds, Window
from pgwatch_tests.history.runs.events import read_events
from pgwatch_tests.history.runs.model import Addition, StoredRun, TestEvent
from pgwatch_tests.history.runs.retention import NAMES_OF_BUILD, NAMES_OF_RUN
from pgwatch_tests.history.runs.strings import texts_of
from pgwatch_tests.history.runs.trend_model import Trends
from pgwatch_tests.history.runs.trends import read_trends
from pgwatch_tests.history.store import Store, default_file
from pgwatch_tests.history.tables import BUILDS, RUNS
from pgwatch_tests.record.run_summary import RunSummary
from pgwatch_tests.settings.load import Settings

_RUN_COLUMNS = [(RUNS if name in RUNS.c else BUILDS).c[name] for name in StoredRun.__slots__]
_NAMES = frozenset((*NAMES_OF_BUILD, *NAMES_OF_RUN))


class RunStore:
    """The history of runs, for any thread. Its methods raise HistoryError if the store can't be used."""

    def __init__(self, store: Store, keep_s: float) -> None:
        self._store = store
        self._keep_s = keep_s

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Returns the history that the settings name. It is connected to, and created, on its first use."""
        return cls(Store(settings.history or default_file()), settings.keep_runs_s)

    @property
    def name(self) -> str:
        """The place of the history, for messages; without a password."""
        return self._store.name

    def add(self, summary: RunSummary) -> Addition:
        """Puts a run on record. The same run, shard and attempt is one run, however often it is added.

        Some of the runs that are older than `keep_runs` are forgotten meanwhile, and now and then names that
        no run has any more.
        """
        oldest = datetime.now(UTC) - timedelta(seconds=self._keep_s)
        if summary.facts.began < oldest:
            return "too old"
        with self._store.writing() as connection:
            outcome = add_run(connection, summary)
            is_to_tidy = retention.forget(connection, oldest)
        if is_to_tidy:
            with suppress(HistoryError):  # the run is on record
                self.tidy()
        return outcome

    def tidy(self) -> int | None:
        """Removes names that no run has any more; returns how many, as `retention.remove` does."""
        with self._reading() as connection:
            found = retention.unused(connection)
        with self._store.writing() as connection:
            return retention.remove(connection, found)

    def runs(self, limit: int = 20, since: datetime | None = None) -> tuple[StoredRun, ...]:
        """Returns the newest runs, newest first; those that began since then, if it is given."""
        query = select(*_RUN_COLUMNS).join(BUILDS).order_by(RUNS.c.began.desc(), RUNS.c.id.desc())
        if since is not None:
            query = query.where(RUNS.c.began >= since)
        with self._reading() as connection:
            return _stored_runs(connection, connection.execute(query.limit(limit)).mappings().all())

    def trends(self, since: datetime, test: str = "", branch: str = "", most: int = 20) -> Trends:
        """Returns what came again in the builds since then; `test` is a pattern (see `builds.Window`)."""
        with self._reading() as connection:
            return read_trends(connection, Window(since, test, branch), most)

    def events(self, test: str, since: datetime, branch: str = "", most: int = 50) -> tuple[TestEvent, ...]:
        """Returns what happened last to the tests of these names, newest first; `test` as in `trends`."""
        with self._reading() as connection:
            builds = Builds(connection, Window(since, test, branch))
            return read_events(connection, builds, test, most)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._store.reading() as connection:
            try:
                yield connection
            except (ValueError, TypeError, OverflowError) as error:
                # SQLite keeps values of any type.
                raise HistoryError(
                    f"the runs in {self.name} are damaged: move the history away to start a new one"
                ) from error


def _stored_runs(connection: Connection, rows: Sequence[RowMapping]) -> tuple[StoredRun, ...]:
    texts = texts_of(connection, {row[column] for row in rows for column in _NAMES})
    return tuple(StoredRun(**(dict(row) | {name: texts[row[name]] for name in _NAMES})) for row in rows)
