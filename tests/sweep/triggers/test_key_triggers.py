"""Whether the server itself keeps a foreign key: told from the catalog, true of what it then does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from psycopg import Connection, sql
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, TableNode
from tests.servers.sessions import Database
from tests.sweep.orphans.sweeping import sweep_session
from tests.sweep.rows.row_sweeps import make


@dataclass(frozen=True)
class Kept:
    """What the server does for a key."""

    enforced: bool
    fires: bool
    checks: bool


ALL = Kept(enforced=True, fires=True, checks=True)
NO_ACTION = Kept(enforced=True, fires=False, checks=True)
NO_CHECK = Kept(enforced=True, fires=True, checks=False)

TABLES = """CREATE TABLE users (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, CONSTRAINT of_user FOREIGN KEY (user_id)
    REFERENCES users ON DELETE SET NULL);"""
PARTITIONS = """CREATE TABLE users (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE users_low PARTITION OF users FOR VALUES FROM (0) TO (100);
CREATE TABLE users_high PARTITION OF users FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE users_higher PARTITION OF users_high FOR VALUES FROM (100) TO (200);
CREATE TABLE orders (id int, user_id int, CONSTRAINT of_user FOREIGN KEY (user_id)
    REFERENCES users ON DELETE SET NULL) PARTITION BY RANGE (id);
CREATE TABLE orders_low PARTITION OF orders FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE orders_lower PARTITION OF orders_low FOR VALUES FROM (0) TO (50);
CREATE TABLE orders_high (user_id int, id int);
ALTER TABLE orders ATTACH PARTITION orders_high FOR VALUES FROM (100) TO (200);"""
SELF = """CREATE TABLE users (id int PRIMARY KEY, boss int,
    CONSTRAINT of_user FOREIGN KEY (boss) REFERENCES users);"""


def keys(database: Database) -> dict[str, Kept]:
    with sweep_session(database.dsn, read_only=True) as (session, _):
        found = session.ask("sweep/foreign_keys", ForeignKey)
    return {key.name: Kept(key.enforced, key.fires, key.checks) for key in found}


def dangles(owner: Connection[TupleRow]) -> bool:
    """Whether a user's row goes and leaves its order's reference."""
    with owner.transaction(force_rollback=True):
        make(owner, "INSERT INTO users VALUES (150); INSERT INTO orders (id, user_id) VALUES (7, 150);")
        make(owner, "DELETE FROM users WHERE id = 150;")
        return bool(owner.execute("SELECT FROM orders WHERE user_id = 150").fetchall())


def takes_any(owner: Connection[TupleRow]) -> bool:
    """Whether an order of nobody is taken."""
    with owner.transaction(force_rollback=True):
        try:
            with owner.transaction():
                make(owner, "INSERT INTO orders (id, user_id) VALUES (7, 151);")
        except ForeignKeyViolation as error:
            return error.diag.constraint_name != "of_user"
        return True


@pytest.mark.parametrize(
    ("tables", "change", "right"),
    [
        (TABLES, "", ALL),
        (TABLES, "ALTER TABLE users DISABLE TRIGGER ALL", NO_ACTION),
        (TABLES, "ALTER TABLE orders DISABLE TRIGGER ALL", NO_CHECK),
        (TABLES, "ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE orders DISABLE TRIGGER USER", ALL),
        (PARTITIONS, "", ALL),
        (PARTITIONS, "ALTER TABLE users_higher DISABLE TRIGGER ALL", NO_ACTION),
        (PARTITIONS, "ALTER TABLE users DISABLE TRIGGER ALL; ALTER TABLE users_higher ENABLE TRIGGER ALL;"
         "ALTER TABLE users_low ENABLE TRIGGER ALL", ALL),
        (PARTITIONS, "ALTER TABLE orders_lower DISABLE TRIGGER ALL", NO_CHECK),
    ],
)  # fmt: skip
def test_what_is_told_is_what_happens(
    owner: Connection[TupleRow], database: Database, tables: str, change: str, right: Kept
) -> None:
    make(owner, tables + change)

    assert keys(database) == {"of_user": right}
    assert dangles(owner) is not right.fires
    assert takes_any(owner) is not right.checks


@pytest.mark.parametrize(("word", "right"), [("REPLICA", NO_ACTION), ("ALWAYS", ALL), ("", ALL)])
def test_triggers_of_a_replica_or_always(
    owner: Connection[TupleRow], database: Database, word: str, right: Kept
) -> None:
    """ENABLE REPLICA TRIGGER fires where changes are applied, not in a session of its own."""
    make(owner, TABLES + "ALTER TABLE users DISABLE TRIGGER ALL;")
    for (name,) in owner.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = 'users'::regclass"):
        enable = f"ALTER TABLE users ENABLE {word} TRIGGER {{}}"
        owner.execute(sql.SQL(enable).format(sql.Identifier(name)))

    assert keys(database) == {"of_user": right}
    assert dangles(owner) is not right.fires


def test_a_key_to_its_own_table(owner: Connection[TupleRow], database: Database) -> None:
    make(owner, SELF)
    assert keys(database) == {"of_user": ALL}

    owner.execute("ALTER TABLE users DISABLE TRIGGER ALL")

    assert keys(database) == {"of_user": Kept(enforced=True, fires=False, checks=False)}


def test_a_leaf_that_lacks_the_trigger(owner: Connection[TupleRow], database: Database) -> None:
    """As DETACH PARTITION left some before 17.1, of keys between two partitioned tables."""
    make(owner, PARTITIONS)
    with owner.transaction():
        make(owner, "SET LOCAL allow_system_table_mods = on;")
        make(owner, "DELETE FROM pg_trigger WHERE tgrelid = 'users_higher'::regclass AND tgtype & 8 <> 0;")

    assert keys(database) == {"of_user": NO_ACTION}
    assert dangles(owner)


def test_a_key_that_is_not_enforced(owner: Connection[TupleRow], database: Database) -> None:
    if owner.info.server_version < 180000:
        pytest.skip("NOT ENFORCED foreign keys came with 18")
    make(owner, TABLES + "ALTER TABLE orders ALTER CONSTRAINT of_user NOT ENFORCED;")

    assert keys(database) == {"of_user": Kept(enforced=False, fires=False, checks=False)}
    assert dangles(owner)
    assert takes_any(owner)

    owner.execute("ALTER TABLE orders ALTER CONSTRAINT of_user ENFORCED")
    assert keys(database) == {"of_user": ALL}


def test_what_triggers_call(owner: Connection[TupleRow], database: Database) -> None:
    """In the order of the triggers' names, of which two may call the same."""
    make(
        owner,
        PARTITIONS
        + """CREATE SCHEMA "Odd schema";
        CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
        CREATE FUNCTION "Odd schema"."a.b"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
        CREATE TRIGGER c BEFORE DELETE ON users_low FOR EACH ROW EXECUTE FUNCTION audit();
        CREATE TRIGGER b AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION "Odd schema"."a.b"();
        CREATE TRIGGER a AFTER DELETE OR UPDATE ON users_low FOR EACH STATEMENT EXECUTE FUNCTION audit();
        CREATE TRIGGER d AFTER INSERT ON users_low FOR EACH ROW EXECUTE FUNCTION audit();""",
    )
    with sweep_session(database.dsn, read_only=True) as (session, _):
        found = session.ask("sweep/relations", TableNode)

    called = {one.name: (one.triggers, one.trigger_functions) for one in found}
    assert called["users_low"] == (["a", "b", "c"], ["public.audit", "Odd schema.a.b", "public.audit"])
    assert called["users_higher"] == (["b"], ["Odd schema.a.b"])
    assert called["orders_high"] == ([], [])


def test_columns_stand_in_the_order_of_the_key(owner: Connection[TupleRow], database: Database) -> None:
    make(
        owner,
        """CREATE TABLE places (a int, b text COLLATE "C", c int, UNIQUE (c, b, a));
        CREATE TABLE seats (x text COLLATE "POSIX", y int, z int,
            CONSTRAINT of_place FOREIGN KEY (z, x, y) REFERENCES places (c, b, a));
        CREATE INDEX ON seats (y);""",
    )
    with sweep_session(database.dsn, read_only=True) as (session, _):
        [key] = session.ask("sweep/foreign_keys", ForeignKey)

    assert (key.child_columns, key.parent_columns) == (["z", "x", "y"], ["c", "b", "a"])
    assert (key.equal_schemas, key.equal_names) == (["pg_catalog"] * 3, ["="] * 3)
    assert key.collation_names == [None, "C", None]
    assert key.indexed, "an index that begins with any of the columns serves"
