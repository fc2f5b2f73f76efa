"""Steps: what is one and what isn't, in each way of psycopg 3 to talk to the server."""

from __future__ import annotations

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import interleave
from tests.servers.sessions import Connect
from tests.testing.interleaving.conftest import Book, Shop, counter, explored


def test_autocommit_is_a_step_each(shop: Shop, connect: Connect) -> None:
    def count(connection: Connection[TupleRow]) -> Book:
        def counted(slot: int) -> None:
            row = connection.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone()
            assert row is not None
            connection.execute("UPDATE slot SET taken = %s WHERE id = %s", [row[0] + 1, slot])

        return counted

    def is_two(slot: int, _: object) -> bool:
        return shop.administrator.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone() == (2,)

    first, second = count(connect(autocommit=True)), count(connect(autocommit=True))
    found = interleave(first, second, setup=shop.slot, invariant=is_two)

    assert found.complete, found
    assert found.explored == 6
    assert len(found.bad) == 4
    without = interleave(first, second, setup=shop.slot)
    assert "rows of autocommitted statements weren't compared with those of serial orders" in without.notes


def test_savepoints_are_no_steps(shop: Shop, connect: Connect) -> None:
    def nested(connection: Connection[TupleRow]) -> Book:
        def nest(slot: int) -> None:
            with connection.transaction():
                with connection.transaction():
                    connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])
                try:
                    with connection.transaction():
                        connection.execute("SELECT 1 / 0")
                except psycopg.errors.DivisionByZero:
                    pass

        return nest

    found = interleave(nested(connect()), nested(connect()), setup=shop.slot, max_preemptions=None)

    found.assert_holds()
    assert found.complete, found


def test_a_pipeline_is_a_step_up_to_its_sync(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def pipe(slot: int) -> None:
        with connection.pipeline(), connection.transaction():
            connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])
            connection.execute("INSERT INTO note (text) VALUES ('x')")

    found = explored(pipe, counter(connect()), shop=shop, step_timeout_s=5)

    assert found.complete, found


def test_copy_executemany_and_streams_are_steps(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def copy(slot: int) -> int:
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy("COPY booking (slot, who) FROM STDIN") as rows:
                rows.write_row((slot, "copied"))
            cursor.executemany("INSERT INTO booking (slot, who) VALUES (%s, %s)", [(slot, "x"), (slot, "y")])
            return len(list(cursor.stream("SELECT * FROM booking WHERE slot = %s", [slot])))

    found = explored(copy, counter(connect()), shop=shop, step_timeout_s=5)

    assert found.complete, found
    assert shop.count("booking", 1) == 3


def test_server_side_cursors_are_steps(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def fetch(slot: int) -> int:
        with connection.transaction(), connection.cursor("named") as cursor:
            cursor.execute("SELECT taken FROM slot WHERE id = %s FOR UPDATE", [slot])
            return len(cursor.fetchall())

    found = explored(fetch, counter(connect()), shop=shop, step_timeout_s=5)

    assert found.complete, found


def test_triggers_that_take_locks_are_seen(shop: Shop, connect: Connect) -> None:
    shop.administrator.execute(
        "CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  UPDATE slot SET taken = taken + 1 WHERE id = NEW.slot; RETURN NEW; END $$;"
        "CREATE TRIGGER count_up AFTER INSERT ON booking FOR EACH ROW EXECUTE FUNCTION count_up()"
    )

    def book(connection: Connection[TupleRow]) -> Book:
        def booked(slot: int) -> None:
            with connection.transaction():
                connection.execute("INSERT INTO booking (slot) VALUES (%s)", [slot])
                connection.execute("INSERT INTO note (text) VALUES ('x')")

        return booked

    found = interleave(book(connect()), book(connect()), setup=shop.slot, max_preemptions=None)

    found.assert_holds()
    assert found.complete, found
    assert found.explored > 1


def test_retries_that_are_bounded_are_fine(shop: Shop, connect: Connect) -> None:
    def retrying(connection: Connection[TupleRow]) -> Book:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE

        def count(slot: int) -> bool:
            for _ in range(4):
                try:
                    counter(connection)(slot)
                except psycopg.errors.SerializationFailure:
                    continue
                return True
            return False

        return count

    found = interleave(retrying(connect()), retrying(connect()), setup=shop.slot)

    found.assert_holds()
    assert found.complete, found
