"""Deferred constraints in rollback isolation: checked at each commit, and as after a real one then."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pgwatch_tests.testing.isolation.rollbacks.rollback import rollback_session
from tests.testing.isolation.rollbacks.test_rollback import DEFERRED, Make, add, execute, ids, make

__all__ = ["make"]


def test_deferred_constraints_are_checked_at_each_commit(make: Make) -> None:
    engine = make()
    with engine.begin() as connection:
        execute(connection, DEFERRED)
    with rollback_session(engine) as session:
        for _ in range(2):
            execute(session, "INSERT INTO bookings VALUES (1, 1)")
            with pytest.raises(IntegrityError, match="booked_by"):
                session.commit()
            session.rollback()
            # Deferred again, and satisfied in time.
            execute(session, "INSERT INTO bookings VALUES (1, 1)")
            add(session, 1)
            session.commit()
            assert ids(session, "bookings") == [1]
            execute(session, "DELETE FROM bookings")
            execute(session, "DELETE FROM users")
            session.commit()
        # Another session's commit is one, too.
        other = Session(session.get_bind())
        execute(other, "INSERT INTO bookings VALUES (1, 1)")
        with pytest.raises(IntegrityError, match="booked_by"):
            other.commit()
        other.close()
        assert ids(session, "bookings") == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_constraints_are_as_at_the_beginning_of_a_transaction(make: Make, driver: str) -> None:
    engine = make(driver)
    with engine.begin() as connection:
        execute(connection, DEFERRED)
        execute(
            connection,
            """
            ALTER TABLE users ADD CONSTRAINT one_email UNIQUE (email) DEFERRABLE INITIALLY IMMEDIATE;
            ALTER TABLE bookings ADD CONSTRAINT one_user UNIQUE (user_id) DEFERRABLE INITIALLY IMMEDIATE;
            -- It can't be deferred, and has the name of one that can.
            CREATE TABLE others (id int CONSTRAINT one_user_ CHECK (id > 0), n int);
            ALTER TABLE others RENAME CONSTRAINT one_user_ TO one_user;
            """,
        )
    with rollback_session(engine) as session:
        add(session, 1, "a")
        session.commit()
        execute(session, "SET CONSTRAINTS one_email DEFERRED")
        execute(session, "ALTER TABLE users DROP CONSTRAINT users_email_key")
        add(session, 2, "a")
        with pytest.raises(IntegrityError, match="one_email"):
            session.commit()
        session.rollback()
        execute(session, "ALTER TABLE users DROP CONSTRAINT users_email_key")
        session.commit()
        # Immediate again.
        with pytest.raises(IntegrityError, match="one_email"):
            add(session, 2, "a")
        session.rollback()
        # And the other one deferred, still.
        execute(session, "INSERT INTO bookings VALUES (1, 7)")
        with pytest.raises(IntegrityError, match="booked_by"):
            session.commit()


def test_what_deferred_triggers_write_stays(make: Make) -> None:
    engine = make()
    with engine.begin() as connection:
        execute(
            connection,
            """
            CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN INSERT INTO bookings VALUES (NEW.id, NEW.id); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER books AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION book();
            """,
        )
    with rollback_session(engine) as session:
        add(session, 1)
        assert ids(session, "bookings") == []
        session.commit()
        assert ids(session, "bookings") == [1]
        add(session, 2)
        assert ids(session, "bookings") == [1], "once, at the commit"
        session.rollback()
        session.commit()
        assert ids(session, "bookings") == [1]


def test_constraints_that_come_later_are_found(make: Make) -> None:
    engine, elsewhere = make(), make()
    with rollback_session(engine) as session:
        add(session, 1)
        session.commit()
    with elsewhere.begin() as connection:
        execute(connection, DEFERRED)
    with rollback_session(engine) as session:
        execute(session, "INSERT INTO bookings VALUES (1, 1)")
        with pytest.raises(IntegrityError, match="booked_by"):
            session.commit()
        session.rollback()
        # Of the test's own, too.
        execute(session, "CREATE TABLE own (id int REFERENCES users DEFERRABLE INITIALLY DEFERRED)")
        execute(session, "INSERT INTO own VALUES (1)")
        with pytest.raises(IntegrityError, match="own_id_fkey"):
            session.commit()
    with rollback_session(engine) as session:
        execute(session, "ALTER TABLE bookings DROP CONSTRAINT booked_by")
        execute(session, "INSERT INTO bookings VALUES (1, 1)")
        session.commit()
    with rollback_session(engine) as session:
        execute(session, "INSERT INTO bookings VALUES (1, 1)")
        with pytest.raises(IntegrityError, match="booked_by"):
            session.commit()


def test_nothing_is_asked_where_nothing_can_be_deferred(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()
    with rollback_session(engine) as session:
        add(session, 1)
        session.commit()
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        queries = list[object]()
        execute_ = driver.execute

        def noted(query: LiteralString, **more: Any) -> object:
            queries.append(query)
            return execute_(query, **more)

        monkeypatch.setattr(driver, "execute", noted)
        add(session, 2)
        session.commit()
        monkeypatch.undo()
    assert queries == ["RELEASE SAVEPOINT pgwatch_1"]
