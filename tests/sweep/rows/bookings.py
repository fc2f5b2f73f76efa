"""Users with bookings and items, some of them left by tests, and sweeps of them."""

from __future__ import annotations

import threading
import time

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import Kept, SweepProgress, SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.waiting import PATIENCE_S

REQUEST = SweepRequest(kinds=("rows",), dry_run=False)
BOOKINGS, ITEMS = 2, 4
"""Those of each user."""
WHOLE = 1 + BOOKINGS + ITEMS
"""The rows of a user's cluster."""
LONG_AGO_MS = 1_717_171_717_171


def settings(dsn: str) -> Settings:
    """Settings for a sweep that doesn't wait long for locks."""
    return Settings(Dsn(dsn, "the test"), lock_timeout_s=0.05)


def swept(
    dsn: str, request: SweepRequest = REQUEST, progress: SweepProgressCallback | None = None
) -> SweepReport:
    """The report of a sweep."""
    return Sweep(settings(dsn), request, progress).run()


def make_tables(owner: Connection[TupleRow]) -> None:
    """`users`, `bookings` and `items`, which refer to each other without CASCADE."""
    owner.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL)")
    owner.execute(
        "CREATE TABLE bookings (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, note text)"
    )
    owner.execute(
        "CREATE TABLE items"
        " (id bigint PRIMARY KEY, booking_id bigint NOT NULL REFERENCES bookings, price int)"
    )
    owner.execute("CREATE INDEX ON bookings (user_id)")
    owner.execute("CREATE INDEX ON items (booking_id)")


def add_users(
    owner: Connection[TupleRow], first: int, last: int, *, marked: bool = True, at_ms: int = LONG_AGO_MS
) -> None:
    """Users with these ids (both ends), each with its bookings and items."""
    email = "user-{at}-{id}@test.example.com" if marked else "someone{id}@example.org"
    owner.execute(
        "INSERT INTO users SELECT id, replace(replace(%s, '{id}', id::text), '{at}', %s)"
        " FROM generate_series(%s::bigint, %s) AS id",
        [email, str(at_ms), first, last],
    )
    owner.execute(
        "INSERT INTO bookings SELECT id * %(bookings)s + n, id, 'note'"
        " FROM generate_series(%(first)s::bigint, %(last)s) AS id, generate_series(1, %(bookings)s) AS n",
        {"first": first, "last": last, "bookings": BOOKINGS},
    )
    owner.execute(
        "INSERT INTO items SELECT bookings.id * %(items)s + n, bookings.id, n"
        " FROM bookings, generate_series(1, %(items)s) AS n WHERE user_id BETWEEN %(first)s AND %(last)s",
        {"first": first, "last": last, "items": ITEMS // BOOKINGS},
    )


def count(owner: Connection[TupleRow], table: str) -> int:
    """How many rows a table has."""
    row = owner.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))
    ).fetchone()
    assert row is not None
    return int(row[0])


def marked_users(owner: Connection[TupleRow]) -> list[int]:
    """The ids of those that tests left."""
    found = owner.execute("SELECT id FROM users WHERE email LIKE '%@test.example.com' ORDER BY id")
    return [int(id_) for (id_,) in found]


def half_users(owner: Connection[TupleRow]) -> list[int]:
    """The ids of users that lack one of their bookings or items."""
    found = owner.execute(
        "SELECT users.id FROM users LEFT JOIN bookings ON user_id = users.id"
        " LEFT JOIN items ON booking_id = bookings.id"
        " GROUP BY users.id HAVING count(DISTINCT bookings.id) <> %s OR count(items.id) <> %s",
        [BOOKINGS, ITEMS],
    )
    return [int(id_) for (id_,) in found]


def deleted(report: SweepReport) -> dict[str, int]:
    """Rows that went, by table."""
    return {table.table: table.total for table in report.deleted}


def kept(report: SweepReport) -> dict[tuple[str, str], int]:
    """Rows that stay, by table and reason."""
    found: dict[tuple[str, str], int] = {}
    for one in report.kept:
        found[one.table, one.reason] = found.get((one.table, one.reason), 0) + one.rows
    return found


def details(report: SweepReport) -> set[str]:
    """What is said of what stays."""
    return {one.detail for one in report.kept}


def the_kept(report: SweepReport, table: str) -> Kept:
    """The one entry about a table."""
    (one,) = (one for one in report.kept if one.table == table)
    return one


class RunningSweep:
    """A sweep in a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        request: SweepRequest = REQUEST,
        progress: SweepProgressCallback | None = None,
    ) -> None:
        self.sweep = Sweep(settings, request, progress)
        self._outcome: SweepReport | BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def result(self, timeout_s: float = PATIENCE_S) -> SweepReport:
        """Its report, once it is done. Raises its error, or AssertionError if it takes longer."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"still sweeping after {timeout_s:g} s"
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def _run(self) -> None:
        try:
            self._outcome = self.sweep.run()
        except PgwatchError as error:
            self._outcome = error


class PausingProgress:
    """Holds up a sweep between two batches, once so many rows went, until it is let go."""

    def __init__(self, rows: int = 1) -> None:
        self._rows = rows
        self._reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, progress: SweepProgress) -> None:
        """The progress callback of the sweep."""
        if progress.rows >= self._rows and not self._reached.is_set():
            self._reached.set()
            assert self._released.wait(PATIENCE_S), "nobody let the sweep go on"

    def wait(self) -> None:
        """Returns once the sweep is held up."""
        assert self._reached.wait(PATIENCE_S), "the sweep didn't get there"

    def release(self) -> None:
        """Lets the sweep go on."""
        self._released.set()


def now_ms() -> int:
    """The time as stamps in values have it."""
    return time.time_ns() // 1_000_000
