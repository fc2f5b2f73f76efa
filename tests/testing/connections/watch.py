"""What the server and the listeners see of the sessions of tests, with all drivers hooked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.commits import Commit, Commits
from pgwatch_tests.testing.connections.drivers import Drivers
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from tests.servers.sessions import Database


def name_of(owner: Owner) -> str:
    """The name that the owner's sessions have."""
    return compose("pytest", owner.worker, owner.name)


class Watch:
    """A database with a table `t`, and what is told of it."""

    def __init__(self, database: Database, connection: Connection[TupleRow]) -> None:
        self.database = database
        self.told: list[Commit] = []
        self.findings: list[Finding] = []
        self.warnings: list[str] = []
        self.hooked = Commits()
        self.drivers = Drivers(self.hooked, self.warnings.append)
        self._connection = connection
        self.one = Owner("test", "tests/test_a.py::test_one['\\ä]", worker="gw0")
        self.two = Owner("test", "tests/test_a.py::test_two['\\ä]", worker="gw0")

    @contextmanager
    def unhooked(self) -> Iterator[None]:
        """What is in here happens before the drivers are hooked."""
        self.drivers.remove()
        yield
        self.drivers = Drivers(self.hooked, self.warnings.append)
        self.drivers.look()

    def url(self, driver: str) -> str:
        """The database for SQLAlchemy."""
        return self.database.dsn.replace("postgresql://", f"postgresql+{driver}://")

    def name(self, pid: int) -> str:
        """The name of a session, as others see it."""
        [row] = self._connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchall()
        return str(row[0])

    def writers(self, table: str = "t") -> dict[int, int]:
        """How many rows each transaction, by its 32 bits, has left."""
        rows = self._connection.execute(f"SELECT xmin::text::bigint, count(*) FROM {table} GROUP BY 1")  # noqa: S608
        return dict(rows.fetchall())

    @property
    def reasons(self) -> list[str]:
        """The sentences of the findings."""
        return [finding.reason for finding in self.findings]

    def commits(self) -> list[tuple[Owner | None, str | None]]:
        """Whose commits were told, and what isn't known of them; each id that is known is that of a row."""
        writers = self.writers()
        for commit in self.told:
            assert (commit.xid is None) == (commit.unknown is not None)
            assert commit.xid is None or commit.xid & 0xFFFFFFFF in writers
            assert commit.database.name == self.database.name
        return [(commit.owner, commit.unknown) for commit in self.told]


@contextmanager
def watching(database: Database, own: Connection[TupleRow]) -> Iterator[Watch]:
    """Makes the table `t` and hooks the drivers that are imported; no trouble may come of it."""
    own.execute(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, a text UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    )
    watch = Watch(database, own)
    watch.hooked.listen(watch.told.append)
    stop = findings.listen(watch.findings.append)
    watch.drivers.look()
    try:
        yield watch
    finally:
        watch.drivers.remove()
        stop()
    assert watch.hooked.trouble is None
    assert watch.warnings == []
