"""Partition trees of two levels, and foreign keys to and from all of their parts."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, make, swept, swept_thoroughly

TREE = """
    CREATE TABLE users (id int PRIMARY KEY, email text) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF users FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
    CREATE TABLE odd PARTITION OF low FOR VALUES IN (1, 3, 5);
    CREATE TABLE even PARTITION OF low DEFAULT;
    CREATE TABLE high PARTITION OF users DEFAULT;
"""


def test_references_to_and_from_a_root(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, TREE)
    owner.execute(
        "CREATE TABLE bookings (id int, day int, user_id int REFERENCES users, PRIMARY KEY (day, id))"
        " PARTITION BY LIST (day);"
        "CREATE TABLE monday PARTITION OF bookings FOR VALUES IN (1) PARTITION BY LIST (id);"
        "CREATE TABLE monday_rest PARTITION OF monday DEFAULT;"
        "CREATE TABLE weekend PARTITION OF bookings FOR VALUES IN (6, 7);"
        "CREATE TABLE items (id int, day int, booking int, FOREIGN KEY (day, booking) REFERENCES bookings)"
    )
    make(
        owner,
        "INSERT INTO users VALUES (1, MARKED), (2, MARKED), (3, 'real'), (11, MARKED), (12, 'real');"
        "INSERT INTO bookings VALUES (1, 1, 1), (2, 6, 2), (3, 7, 11), (4, 1, 3), (5, 6, 12), (6, 7, NULL);"
        "INSERT INTO items VALUES (1, 1, 1), (2, 6, 2), (3, 1, 4), (4, 1, NULL), (5, NULL, 99)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (3, 0), "bookings": (0, 3), "items": (0, 2)}
    assert ids(owner, "users") == [3, 12]
    assert ids(owner, "bookings") == [4, 5, 6]
    assert ids(owner, "items") == [3, 4, 5]


def test_a_foreign_key_that_one_partition_has(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, TREE)
    owner.execute(
        "CREATE TABLE bookings (id int, user_id int) PARTITION BY RANGE (id);"
        "CREATE TABLE early PARTITION OF bookings FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE late PARTITION OF bookings FOR VALUES FROM (10) TO (20);"
        "ALTER TABLE early ADD FOREIGN KEY (user_id) REFERENCES users"
    )
    make(
        owner,
        "INSERT INTO users VALUES (1, MARKED), (3, 'real');"
        "INSERT INTO bookings VALUES (1, 1), (2, 3), (11, 1)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (0, 1)}
    assert ids(owner, "bookings") == [2, 11]


def test_a_foreign_key_that_refers_to_a_partition(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, TREE)
    owner.execute(
        "CREATE TABLE of_odd (id int, user_id int REFERENCES odd);"
        "CREATE TABLE of_low (id int, user_id int REFERENCES low)"
    )
    make(
        owner,
        "INSERT INTO users VALUES (1, MARKED), (2, MARKED), (3, 'real'), (11, MARKED);"
        "INSERT INTO of_odd VALUES (1, 1), (3, 3); INSERT INTO of_low VALUES (1, 1), (2, 2), (3, 3)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (3, 0), "of_odd": (0, 1), "of_low": (0, 2)}
    assert ids(owner, "users") == [3]
    assert ids(owner, "of_odd") == ids(owner, "of_low") == [3]


def test_partitions_that_refer_to_their_own_tree(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, TREE)
    owner.execute(
        "ALTER TABLE users ADD parent int REFERENCES users ON DELETE RESTRICT, ADD twin int;"
        "ALTER TABLE high ADD FOREIGN KEY (twin) REFERENCES odd"
    )
    make(
        owner,
        "INSERT INTO users VALUES (1, MARKED, 11, NULL), (2, MARKED, 1, NULL), (11, MARKED, 2, 1);"
        "INSERT INTO users VALUES (3, MARKED, NULL, NULL), (4, MARKED, NULL, NULL);"
        "INSERT INTO users VALUES (5, 'real', NULL, NULL), (12, 'real', 5, 3), (13, 'real', 4, NULL)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (3, 0)}
    assert kept(report) == {("users", "shared_with_real_data"): 2}
    assert ids(owner, "users") == [3, 4, 5, 12, 13]


def test_a_partition_that_came_with_its_own_foreign_key(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(owner, TREE)
    owner.execute(
        "CREATE TABLE bookings (n text, id int, user_id int REFERENCES users ON DELETE CASCADE)"
        " PARTITION BY RANGE (id);"
        # Its columns in another order, and one that is no more.
        "CREATE TABLE early (gone int, user_id int REFERENCES users ON DELETE CASCADE, id int, n text);"
        "ALTER TABLE early DROP COLUMN gone;"
        "ALTER TABLE bookings ATTACH PARTITION early FOR VALUES FROM (0) TO (10)"
    )
    make(
        owner,
        "INSERT INTO users VALUES (1, MARKED), (3, 'real');"
        "INSERT INTO bookings VALUES ('a', 1, 1), ('b', 2, 3), (MARKED, 3, 3)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (1, 1)}
    assert ids(owner, "bookings") == ["b"]


def test_a_partition_that_comes_during_the_sweep(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, TREE)
    make(
        owner,
        "CREATE TABLE log (id int, mark text) PARTITION BY LIST (id);"
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " CREATE TABLE log_2 PARTITION OF log FOR VALUES IN (2);"
        " INSERT INTO log VALUES (2, MARKED); RETURN NULL; END $$;"
        # On the partition: that is what a sweep deletes from.
        "CREATE TRIGGER note AFTER DELETE ON odd FOR EACH STATEMENT EXECUTE FUNCTION note();"
        "INSERT INTO users VALUES (1, MARKED); INSERT INTO log VALUES (1, MARKED)",
    )

    first = swept(database.dsn)
    second = swept(database.dsn)

    assert deleted(first) == {"users": (1, 0), "log": (2, 0)}
    assert (first.complete, second.complete, deleted(second)) == (True, True, {})
