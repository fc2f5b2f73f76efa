"""Bookings and accounts: what the actors of these tests fight over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import Exploration, interleave
from tests.servers.sessions import Connect, Database

TABLES = """
CREATE TABLE slot (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, taken int NOT NULL DEFAULT 0);
CREATE TABLE booking (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slot bigint NOT NULL, who text);
CREATE TABLE unique_booking (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slot bigint NOT NULL UNIQUE, who text
);
CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);
"""
Book = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Shop:
    """A database with slots to book, and a session of an administrator's."""

    dsn: str
    administrator: Connection[TupleRow]

    def slot(self) -> int:
        """A new slot, and a second one with the next id."""
        row = self.administrator.execute(
            "WITH made AS (INSERT INTO slot DEFAULT VALUES RETURNING id) SELECT id FROM made"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def two_slots(self) -> tuple[int, int]:
        """Two new slots."""
        return self.slot(), self.slot()

    def count(self, table: str, slot: int) -> int:
        """How many bookings of a slot there are."""
        row = self.administrator.execute(
            psycopg.sql.SQL("SELECT count(*) FROM {} WHERE slot = %s").format(psycopg.sql.Identifier(table)),
            [slot],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def is_booked_once(self, slot: int, _: object) -> bool:
        """The invariant of `booking`."""
        return self.count("booking", slot) <= 1


@pytest.fixture
def shop(database: Database, connect: Connect) -> Shop:
    administrator = connect(autocommit=True)
    administrator.execute(TABLES)
    return Shop(database.dsn, administrator)


@pytest.fixture
def bookers(connect: Connect) -> list[Book]:
    """Three who look whether a slot is free, then book it, each with a session of their own."""
    return [booker(connect(), who) for who in "abc"]


def booker(connection: Connection[TupleRow], who: str) -> Book:
    """Looks whether a slot is free, then books it."""

    def book(slot: int) -> bool:
        with connection.transaction():
            found = connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()
            if found != (0,):
                return False
            connection.execute("INSERT INTO booking (slot, who) VALUES (%s, %s)", [slot, who])
        return True

    return book


def counter(connection: Connection[TupleRow], between: Callable[[], object] = lambda: None) -> Book:
    """Counts a slot, with something between its statements."""

    def count(slot: int) -> None:
        with connection.transaction():
            connection.execute("SELECT taken FROM slot WHERE id = %s", [slot])
            between()
            connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])

    return count


def explored(*functions: Callable[..., object], shop: Shop, step_timeout_s: float = 0.7) -> Exploration:
    return interleave(*functions, setup=shop.slot, invariant=lambda *_: True, step_timeout_s=step_timeout_s)
