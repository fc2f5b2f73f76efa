"""Foreign keys of all kinds: exactly the test rows go, as planned, and a second sweep finds none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import KeptReason
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, make, swept, swept_thoroughly

USERS = """
    CREATE TABLE users (id int PRIMARY KEY, email text);
    INSERT INTO users VALUES (1, MARKED), (2, MARKED), (10, 'real@example.org'), (11, 'other@example.org');
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of foreign key: tables with rows, and what becomes of them."""

    setup: str
    gone: Mapping[str, tuple[int, int]]
    """Marked and dependent rows that go, by table."""
    stay: Mapping[str, list[object]]
    """The first columns of those that don't."""
    kept: Mapping[tuple[str, KeptReason], int] = field(default_factory=dict)


KINDS = {
    "a chain of three": Kind(
        """USERS;
        CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users);
        CREATE TABLE items (id int PRIMARY KEY, booking_id int NOT NULL REFERENCES bookings);
        INSERT INTO bookings VALUES (1, 1), (2, 1), (3, 2), (10, 10), (11, NULL);
        INSERT INTO items VALUES (1, 1), (2, 2), (3, 3), (10, 10), (11, 11);
        """,
        {"users": (2, 0), "bookings": (0, 3), "items": (0, 3)},
        {"users": [10, 11], "bookings": [10, 11], "items": [10, 11]},
    ),
    "a ring of two tables": Kind(
        """
        CREATE TABLE a (id int PRIMARY KEY, b int, mark text);
        CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);
        INSERT INTO a VALUES (1, 1, MARKED), (2, 2, NULL), (3, NULL, MARKED);
        INSERT INTO b VALUES (1, 1), (2, 2), (3, 1);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        """,
        {"a": (2, 0), "b": (0, 2)},
        {"a": [2], "b": [2]},
    ),
    "a ring of three tables": Kind(
        """
        CREATE TABLE a (id int PRIMARY KEY, c int);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, mark text);
        CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b);
        INSERT INTO a VALUES (1, 1), (2, 2), (3, NULL);
        INSERT INTO b VALUES (1, 1, MARKED), (2, 2, NULL), (3, 3, MARKED);
        INSERT INTO c VALUES (1, 1), (2, 2), (3, 3);
        ALTER TABLE a ADD FOREIGN KEY (c) REFERENCES c;
        """,
        {"a": (0, 1), "b": (2, 0), "c": (0, 2)},
        {"a": [2, 3], "b": [2], "c": [2]},
    ),
    "a ring of RESTRICT": Kind(
        """
        CREATE TABLE a (id int PRIMARY KEY, b int, mark text);
        CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE RESTRICT);
        INSERT INTO a VALUES (1, 1, MARKED), (2, 2, NULL);
        INSERT INTO b VALUES (1, 1), (2, 2);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE RESTRICT;
        """,
        {"a": (1, 0), "b": (0, 1)},
        {"a": [2], "b": [2]},
    ),
    "a tree in one table": Kind(
        """
        CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t ON DELETE CASCADE, mark text);
        INSERT INTO t VALUES (1, NULL, MARKED), (2, 1, NULL), (3, 2, NULL);
        INSERT INTO t VALUES (10, NULL, NULL), (11, 10, MARKED);
        """,
        {"t": (2, 2)},
        {"t": [10]},
    ),
    "rows that refer to themselves and each other": Kind(
        """
        CREATE TABLE t (id int PRIMARY KEY, other int REFERENCES t ON DELETE RESTRICT, mark text);
        INSERT INTO t VALUES (1, 1, MARKED), (2, 3, MARKED), (3, 2, MARKED), (10, 10, NULL), (11, 10, NULL);
        """,
        {"t": (3, 0)},
        {"t": [10, 11]},
    ),
    "composite, MATCH FULL and half-null": Kind(
        """
        CREATE TABLE p (a int, b int, mark text, PRIMARY KEY (b, a));
        CREATE TABLE simple (id int, b int, a int, FOREIGN KEY (a, b) REFERENCES p (a, b));
        CREATE TABLE whole (id int, b int, a int, FOREIGN KEY (a, b) REFERENCES p (a, b) MATCH FULL);
        INSERT INTO p VALUES (1, 2, MARKED), (2, 1, NULL);
        INSERT INTO simple VALUES (1, 2, 1), (2, 1, 2), (3, NULL, 1), (4, 2, NULL), (5, NULL, NULL);
        INSERT INTO whole VALUES (1, 2, 1), (2, 1, 2), (3, NULL, NULL);
        """,
        {"p": (1, 0), "simple": (0, 1), "whole": (0, 1)},
        {"p": [2], "simple": [2, 3, 4, 5], "whole": [2, 3]},
    ),
    "to a UNIQUE key that may be null": Kind(
        """
        CREATE TABLE p (id int PRIMARY KEY, code text UNIQUE, mark text);
        CREATE TABLE c (id int, code text REFERENCES p (code));
        INSERT INTO p VALUES (1, 'x', MARKED), (2, NULL, MARKED), (3, 'y', NULL);
        INSERT INTO c VALUES (1, 'x'), (2, NULL), (3, 'y');
        """,
        {"p": (2, 0), "c": (0, 1)},
        {"p": [3], "c": [2, 3]},
    ),
    "SET NULL and SET DEFAULT": Kind(
        """USERS;
        CREATE TABLE notes (id int, author int REFERENCES users ON DELETE SET NULL,
            reader int DEFAULT 10 REFERENCES users ON DELETE SET DEFAULT);
        INSERT INTO notes VALUES (1, 1, 2), (2, 11, 11);
        """,
        {"users": (2, 0)},
        {"users": [10, 11], "notes": [1, 2]},
    ),
    "SET NULL in rows that go themselves": Kind(
        """USERS;
        CREATE TABLE notes (id int, author int REFERENCES users ON DELETE SET NULL, mark text);
        INSERT INTO notes VALUES (1, 1, MARKED), (2, 2, NULL), (3, 10, MARKED);
        """,
        {"users": (2, 0), "notes": (2, 0)},
        {"users": [10, 11], "notes": [2]},
    ),
    "SET NULL in rows that go by another key": Kind(
        """USERS;
        CREATE TABLE notes (id int PRIMARY KEY, author int NOT NULL REFERENCES users,
            reviewer int REFERENCES users ON DELETE SET NULL);
        CREATE TABLE pins (id int, note int REFERENCES notes ON DELETE SET NULL, owner int REFERENCES users);
        INSERT INTO notes VALUES (1, 1, 1), (2, 1, 2), (3, 10, 1);
        INSERT INTO pins VALUES (1, 1, 2), (2, 2, 10), (3, 3, 1);
        """,
        {"users": (2, 0), "notes": (0, 2), "pins": (0, 2)},
        {"users": [10, 11], "notes": [3], "pins": [2]},
    ),
    "a ring closed by SET NULL": Kind(
        """
        CREATE TABLE teams (id int PRIMARY KEY, lead int, mark text);
        CREATE TABLE people (id int PRIMARY KEY, team int REFERENCES teams, mark text);
        INSERT INTO teams VALUES (1, 1, MARKED), (2, 2, NULL), (3, 1, NULL);
        INSERT INTO people VALUES (1, 1, MARKED), (2, 2, NULL), (3, 3, NULL);
        ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people ON DELETE SET NULL;
        """,
        {"teams": (1, 0), "people": (1, 0)},
        {"teams": [2, 3], "people": [2, 3]},
    ),
    "CASCADE takes unmarked rows among marked ones, other keys don't": Kind(
        """USERS;
        CREATE TABLE notes (id int, owner int REFERENCES users ON DELETE CASCADE,
            author int REFERENCES users, mark text);
        INSERT INTO notes VALUES (1, 1, NULL, NULL), (2, 10, 2, NULL);
        INSERT INTO notes VALUES (3, 2, NULL, MARKED), (4, 10, 10, MARKED);
        """,
        {"users": (1, 0), "notes": (1, 1)},
        {"users": [2, 10, 11], "notes": [2, 3]},
        {("users", "shared_with_real_data"): 1, ("notes", "shared_with_real_data"): 1},
    ),
    "DEFERRABLE, one way and the other": Kind(
        """USERS;
        CREATE TABLE a (id int PRIMARY KEY, user_id int REFERENCES users DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY IMMEDIATE);
        INSERT INTO a VALUES (1, 1), (2, 10);
        INSERT INTO b VALUES (1, 1), (2, 2);
        """,
        {"users": (2, 0), "a": (0, 1), "b": (0, 1)},
        {"users": [10, 11], "a": [2], "b": [2]},
    ),
    "two keys to one table": Kind(
        """USERS;
        CREATE TABLE letters (id int PRIMARY KEY, sender int REFERENCES users, receiver int REFERENCES users);
        INSERT INTO letters VALUES (1, 1, 2), (2, 10, 2), (3, 10, 11), (4, NULL, 1);
        """,
        {"users": (2, 0), "letters": (0, 3)},
        {"users": [10, 11], "letters": [3]},
    ),
    "one column that refers to two tables": Kind(
        """USERS;
        CREATE TABLE people (id int PRIMARY KEY REFERENCES users);
        CREATE TABLE badges (id int REFERENCES users REFERENCES people);
        INSERT INTO people VALUES (1), (10);
        INSERT INTO badges VALUES (1), (10);
        """,
        {"users": (2, 0), "people": (0, 1), "badges": (0, 1)},
        {"users": [10, 11], "people": [10], "badges": [10]},
    ),
    "int4 to int8, varchar to text, domains": Kind(
        """
        CREATE DOMAIN code AS text;
        CREATE TABLE p (id int8 PRIMARY KEY, code code UNIQUE, mark text);
        CREATE TABLE c (id int, p int4 REFERENCES p, small int2 REFERENCES p,
            code varchar(9) REFERENCES p (code));
        INSERT INTO p VALUES (1, 'x', MARKED), (2, 'y', MARKED), (3, 'z', MARKED), (4, 'w', NULL);
        INSERT INTO c VALUES (1, 1, NULL, NULL), (2, NULL, 2, NULL), (3, NULL, NULL, 'z'), (4, 4, 4, 'w');
        """,
        {"p": (3, 0), "c": (0, 3)},
        {"p": [4], "c": [4]},
    ),
    "types of all sorts": Kind(
        """
        CREATE TYPE colour AS ENUM ('red', 'green');
        CREATE TABLE p (id int, mark text, n numeric UNIQUE, u uuid UNIQUE, a int[] UNIQUE,
            r int4range UNIQUE, e colour UNIQUE, t timestamp UNIQUE, f float8 UNIQUE,
            s name UNIQUE, b char(5) UNIQUE,
            y bytea UNIQUE);
        CREATE TABLE c (id int, n int REFERENCES p (n), u uuid REFERENCES p (u), a int[] REFERENCES p (a),
            r int4range REFERENCES p (r), e colour REFERENCES p (e), t date REFERENCES p (t),
            f float4 REFERENCES p (f), s text REFERENCES p (s), b char(3) REFERENCES p (b),
            y bytea REFERENCES p (y));
        INSERT INTO p VALUES (1, MARKED, 1.00, '7a0c9c2e-5e0b-4f6e-9f43-0d5c1c8b1c11', '{1,NULL}', '[1,2]',
            'red', '2020-01-01', 0.5, 'x', 'x', 'a');
        INSERT INTO p VALUES (2, 'real', 2, '7a0c9c2e-5e0b-4f6e-9f43-0d5c1c8b1c12', '{}', 'empty', 'green',
            '2020-01-02', 1.5, 'y', 'y', 'b');
        INSERT INTO c (id, n) VALUES (1, 1), (2, 2);
        INSERT INTO c (id, u) SELECT 2 + id, u FROM p;
        INSERT INTO c (id, a) VALUES (5, '{1,NULL}'), (6, '{}');
        INSERT INTO c (id, r) VALUES (7, '[1,3)'), (8, '(4,4)');
        INSERT INTO c (id, e) VALUES (9, 'red'), (10, 'green');
        INSERT INTO c (id, t) VALUES (11, '2020-01-01'), (12, '2020-01-02');
        INSERT INTO c (id, f) VALUES (13, 0.5), (14, 1.5);
        INSERT INTO c (id, s) VALUES (15, 'x'), (16, 'y');
        INSERT INTO c (id, b) VALUES (17, 'x'), (18, 'y');
        INSERT INTO c (id, y) VALUES (19, 'a'), (20, 'b');
        """,
        {"p": (1, 0), "c": (0, 10)},
        {"p": [2], "c": [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]},
    ),
    "collations that differ": Kind(
        """
        CREATE TABLE p (id int, code text COLLATE "C" PRIMARY KEY, mark text);
        CREATE TABLE c (id int, code text COLLATE "POSIX" REFERENCES p);
        INSERT INTO p VALUES (1, 'x', MARKED), (2, 'X', NULL);
        INSERT INTO c VALUES (1, 'x'), (2, 'X');
        """,
        {"p": (1, 0), "c": (0, 1)},
        {"p": [2], "c": [2]},
    ),
    "inheritance: a child's rows are not its parent's": Kind(
        """
        CREATE TABLE base (id int PRIMARY KEY, mark text);
        CREATE TABLE special (PRIMARY KEY (id)) INHERITS (base);
        CREATE TABLE of_base (id int, base int REFERENCES base);
        CREATE TABLE of_special (id int, special int REFERENCES special);
        CREATE TABLE below_of_base (extra int) INHERITS (of_base);
        INSERT INTO base VALUES (1, MARKED), (2, 'real');
        INSERT INTO special VALUES (1, 'real'), (2, MARKED), (3, MARKED);
        INSERT INTO of_base VALUES (1, 1), (2, 2);
        INSERT INTO of_special VALUES (1, 1), (2, 2), (3, 3);
        INSERT INTO below_of_base VALUES (9, 1);
        """,
        {"base": (1, 0), "special": (2, 0), "of_base": (0, 1), "of_special": (0, 2)},
        {"base": [1, 2], "special": [1], "of_base": [2, 9], "of_special": [1], "below_of_base": [9]},
    ),
    "two schemas": Kind(
        """USERS;
        CREATE SCHEMA other;
        CREATE TABLE other.users (id int PRIMARY KEY, owner int REFERENCES public.users);
        CREATE TABLE bookings (id int, user_id int REFERENCES other.users);
        INSERT INTO other.users VALUES (10, 1), (1, 10);
        INSERT INTO bookings VALUES (1, 10), (2, 1);
        """,
        {"users": (0, 1), "bookings": (0, 1)},
        {"users": [10, 11], "other.users": [1], "bookings": [2]},
    ),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_exactly_the_test_rows_go(database: Database, owner: Connection[TupleRow], kind: Kind) -> None:
    make(owner, kind.setup.replace("USERS;", USERS))

    report = swept_thoroughly(database.dsn)

    assert {table: ids(owner, table) for table in kind.stay} == kind.stay
    assert kept(report) == kind.kept
    if "other.users" not in kind.stay:
        assert deleted(report) == kind.gone
    assert report.not_checked == ()


def test_changes_that_a_column_does_not_allow(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, USERS)
    make(
        owner,
        """
        CREATE TABLE notes (id int, author int NOT NULL REFERENCES users ON DELETE SET NULL);
        CREATE TABLE pins (id int, owner int DEFAULT 99 REFERENCES users ON DELETE SET DEFAULT);
        INSERT INTO users VALUES (3, MARKED);
        INSERT INTO notes VALUES (1, 1), (2, 10);
        INSERT INTO pins VALUES (1, 2), (2, 10);
        """,
    )

    report = swept(database.dsn)

    assert deleted(report) == {"users": (1, 0)}
    assert kept(report) == {("users", "refused"): 2}
    assert ids(owner, "users") == [1, 2, 10, 11]
    assert any("notes" in one.detail for one in report.kept)
