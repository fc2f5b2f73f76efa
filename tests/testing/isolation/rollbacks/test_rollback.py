"""Rollback isolation: what a test commits stays for it alone, and behaves as if it had been committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from pgwatch_tests.testing.isolation.rollbacks.rollback import (
    rollback_connection,
    rollback_engine,
    rollback_session,
)
from pgwatch_tests.testing.isolation.rollbacks.rollback_transaction import RollbackConnection
from tests.servers.sessions import Database
from tests.waiting import wait_until

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);
    CREATE TABLE bookings (id int PRIMARY KEY, user_id int);
"""
DEFERRED = """
    ALTER TABLE bookings ADD CONSTRAINT booked_by FOREIGN KEY (user_id) REFERENCES users
        DEFERRABLE INITIALLY DEFERRED;
"""

Make = Callable[..., sa.Engine]


class Base(DeclarativeBase):
    """The application's models."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


def url_of(database: Database, driver: str) -> sa.URL:
    return sa.make_url(database.dsn).set(drivername=f"postgresql+{driver}")


@pytest.fixture
def make(database: Database) -> Iterator[Make]:
    """Engines of the test's database, with its tables."""
    made = []

    def make_engine(driver: str = "psycopg", **options: object) -> sa.Engine:
        made.append(sa.create_engine(url_of(database, driver), **options))
        return made[-1]

    with psycopg.connect(database.dsn) as connection:
        connection.execute(SCHEMA)
    yield make_engine
    for engine in made:
        engine.dispose()


def execute(connection: sa.Connection | Session, statement: str) -> sa.CursorResult[object]:
    result = connection.execute(sa.text(statement))
    assert isinstance(result, sa.CursorResult)
    return result


def add(connection: sa.Connection | Session, id_: int, email: str | None = None) -> None:
    connection.execute(sa.text("INSERT INTO users VALUES (:id, :email)"), {"id": id_, "email": email})


def ids(connection: sa.Connection | Session, table: str = "users") -> list[int]:
    found = execute(connection, str(sa.select(sa.column("id")).select_from(sa.table(table)).order_by("id")))
    return [int(str(id_)) for (id_,) in found]


def ids_of_others(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return ids(connection)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_commits_stay_until_the_end_and_rollbacks_undo_what_came_since(make: Make, driver: str) -> None:
    engine = make(driver)
    # More often than psycopg takes to prepare what it is told.
    for _ in range(7):
        with rollback_session(engine) as session:
            session.add(User(id=1, email="a"))
            session.commit()
            add(session, 2)
            session.rollback()
            session.add(User(id=3, email="a"))
            with pytest.raises(IntegrityError, match="users_email_key"):
                session.commit()
            session.rollback()
            add(session, 4)
            session.commit()
            assert ids(session) == [1, 4]
            with session.begin_nested():
                add(session, 5)
            with session.begin_nested() as nested:
                add(session, 6)
                nested.rollback()
            session.commit()
            assert ids(session) == [1, 4, 5]
            assert ids_of_others(engine) == []
        assert ids_of_others(engine) == []


def test_a_connection_and_an_engine_behave_as_the_applications_own(make: Make) -> None:
    engine = make()
    with rollback_connection(engine) as connection:
        with connection.begin():
            add(connection, 1)
        add(connection, 2)
        connection.rollback()
        # The application closes what it is given.
        with connection.engine.connect() as other, other.begin():
            add(other, 3)
        with connection.engine.begin() as other:
            add(other, 4)
        with connection.engine.connect() as other:
            add(other, 5)
        assert ids(connection) == [1, 3, 4]
        with connection.engine.execution_options(schema_translate_map=None).connect() as other:
            assert isinstance(other, RollbackConnection)
        connection.engine.dispose()
        assert ids(connection) == [1, 3, 4]
    assert ids_of_others(engine) == []


def test_sessions_of_the_applications_sessionmaker_join_in(make: Make) -> None:
    engine = make()
    local = sessionmaker(make(), expire_on_commit=False)
    scoped = scoped_session(sessionmaker(engine))
    before = dict(local.kw)
    scoped.execute(sa.select(User))
    with rollback_session(engine, local, scoped) as session:
        assert not session.expire_on_commit
        with local.begin() as other:
            add(other, 1)
        add(scoped(), 2)
        scoped.commit()
        assert ids(session) == [1, 2]
    assert local.kw == before
    assert ids(scoped()) == []
    scoped.remove()


def test_what_the_application_commits_survives_the_tests_own_rollback(make: Make) -> None:
    engine = make()
    local = sessionmaker(engine)
    with rollback_session(engine, local) as session:
        # The test looks first, and its transaction stays open.
        assert ids(session) == []
        with local() as application:
            add(application, 1)
            application.commit()
            add(application, 2)
        session.rollback()
        assert ids(session) == [1]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_the_session_that_began_first_may_commit_first(make: Make, driver: str) -> None:
    engine = make(driver)
    with rollback_engine(engine) as inside, inside.connect() as first, inside.connect() as second:
        add(first, 1)
        add(second, 2)
        first.commit()
        second.commit()
        assert ids(first) == [1, 2]
    assert ids_of_others(engine) == []


def test_what_cant_be_kept_is_told(make: Make) -> None:
    engine = make()
    local = sessionmaker(engine)
    with rollback_session(engine, local) as session:
        add(session, 1)
        with local() as application:
            add(application, 2)
            application.commit()
        with pytest.warns(UserWarning, match="undoes what another session of this test has committed"):
            session.rollback()
        assert ids(session) == []
        # The first one ends before, but isn't the innermost.
        add(session, 3)
        other = local()
        add(other, 4)
        session.commit()
        other.rollback()
        assert ids(session) == [3]
        session.rollback()
        add(session, 5)
        add(other, 6)
        session.rollback()
        with pytest.raises(InvalidRequestError, match="another session of the test has rolled back its own"):
            other.commit()
        other.close()
        assert ids(session) == [3]


def test_what_would_end_the_tests_transaction_is_refused(make: Make) -> None:
    engine = make()
    with rollback_engine(engine) as inside, inside.connect() as connection:
        add(connection, 1)
        for statement in (
            "COMMIT",
            " rollback work",
            "/* app */ END",
            "PREPARE TRANSACTION 'x'",
            "START TRANSACTION",
        ):
            with pytest.raises(
                InvalidRequestError, match="as a statement would end the test's own transaction"
            ):
                execute(connection, statement)
        execute(connection, "SAVEPOINT mine")
        add(connection, 2)
        execute(connection, "ROLLBACK TO SAVEPOINT mine")
        with pytest.raises(InvalidRequestError, match="the driver's commit"):
            connection.connection.commit()
        with pytest.raises(InvalidRequestError, match="the driver's rollback"):
            connection.connection.rollback()
        with pytest.raises(InvalidRequestError, match="isn't rolled back with the test"):
            inside.raw_connection()
        for refused in (connection.execution_options, inside.execution_options):
            with pytest.raises(InvalidRequestError, match="the isolation level can't be changed"):
                refused(isolation_level="AUTOCOMMIT")
        connection.commit()
        with pytest.raises(InvalidRequestError, match="two-phase"):
            connection.begin_twophase()
        assert ids(connection) == [1]
    assert ids_of_others(engine) == []
    for driver in ("psycopg", "psycopg2"):
        with (
            pytest.raises(InvalidRequestError, match="the engine is in autocommit mode"),
            rollback_session(make(driver, isolation_level="AUTOCOMMIT")),
        ):
            pass


def test_an_isolation_level_of_the_engine_is_that_of_the_test(make: Make) -> None:
    for engine in (
        make(isolation_level="REPEATABLE READ"),
        make().execution_options(isolation_level="REPEATABLE READ"),
    ):
        with rollback_session(engine) as session:
            assert execute(session, "SHOW transaction_isolation").scalar() == "repeatable read"


def test_listeners_of_the_engine_hear_of_the_applications_transactions(make: Make) -> None:
    engine = make()
    heard = list[str]()
    for name in ("begin", "commit", "rollback"):
        sa.event.listen(engine, name, lambda *_, name=name: heard.append(name))
    sa.event.listen(engine, "before_cursor_execute", lambda *more: heard.append(more[2]))
    with rollback_session(engine) as session:
        execute(session, "SELECT 1")
        session.commit()
        execute(session, "SELECT 2")
        session.rollback()
    assert heard == ["begin", "SELECT 1", "commit", "begin", "SELECT 2", "rollback"]


def test_a_connection_that_is_lost_is_no_second_error(
    make: Make, owner: psycopg.Connection[tuple[object, ...]]
) -> None:
    def end_own_session(session: Session) -> None:
        pid = execute(session, "SELECT pg_backend_pid()").scalar()
        owner.execute("SELECT pg_terminate_backend(%s)", [pid])
        wait_until(
            lambda: not owner.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).rowcount,
            message="its session is over",
        )
        add(session, 1)

    engine = make()
    with (
        pytest.raises(DBAPIError, match=r"terminat|closed"),
        rollback_session(engine) as session,
    ):
        end_own_session(session)
    with rollback_session(engine) as session:
        with pytest.raises(DBAPIError, match=r"terminat|closed"):
            end_own_session(session)
        session.rollback()
        with pytest.raises(InvalidRequestError, match="connection to the server is lost"):
            add(session, 1)
    with rollback_session(engine) as session:
        add(session, 1)
        session.commit()


def test_a_test_that_fails_leaves_nothing(make: Make) -> None:
    def fail(session: Session) -> None:
        add(session, 1)
        session.commit()
        raise ZeroDivisionError

    engine = make()
    with pytest.raises(ZeroDivisionError), rollback_session(engine) as session:
        fail(session)
    assert ids_of_others(engine) == []
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
