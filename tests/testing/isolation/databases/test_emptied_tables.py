"""A worker's database is as the template after each test, whoever wrote what into it, and how."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.testing import Migrations, isolated_database, prepared_databases, sql_migrations
from pgwatch_tests.testing.isolation.databases.emptied_tables import EmptiedTables
from tests.servers.sessions import Database

SCHEMA = """
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries VALUES ('at', 'Austria'), ('ch', 'Switzerland');
CREATE TABLE users (id serial PRIMARY KEY, country text REFERENCES countries ON DELETE RESTRICT, boss int);
ALTER TABLE users ADD FOREIGN KEY (boss) REFERENCES users ON DELETE RESTRICT;
CREATE TABLE a (id int PRIMARY KEY, b int);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE RESTRICT);
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE p (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p DEFAULT;
CREATE TABLE of_p (p int REFERENCES p);
CREATE TABLE parent (x int); CREATE TABLE child () INHERITS (parent);
CREATE SCHEMA "other ""one"; CREATE UNLOGGED TABLE "other ""one"."odd %s" (x int);
CREATE TABLE audit (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.audit VALUES (TG_OP); RETURN OLD; END';
CREATE TABLE noted (x int);
CREATE TRIGGER note BEFORE DELETE ON noted FOR EACH ROW EXECUTE FUNCTION note();
CREATE SEQUENCE numbers START 7;
SELECT nextval('numbers');
"""


@pytest.fixture
def made_of(tmp_path_factory: pytest.TempPathFactory) -> Migrations:
    """The migrations of these tests."""
    folder = tmp_path_factory.mktemp("migrations")
    (folder / "1.sql").write_text(SCHEMA)
    return sql_migrations(folder)


class Worker:
    """Tests of a worker, one after the other."""

    def __init__(self, dsn: str, made_of: Migrations, *, restart_sequences: bool) -> None:
        self._resource = isolated_database(dsn, made_of, scope="worker", restart_sequences=restart_sequences)
        self.oids: list[int] = []

    @contextmanager
    def test(self) -> Iterator[Connection[TupleRow]]:
        """A test, with a connection of its own, and the database's OID noted."""
        with self._resource as place, place.connect(autocommit=True) as connection:
            query = "SELECT oid::int FROM pg_database WHERE datname = current_database()"
            (oid,) = connection.execute(query).fetchone() or (0,)
            self.oids.append(oid)
            yield connection

    @property
    def is_same(self) -> bool:
        """Whether the database was never made anew."""
        return len(set(self.oids)) == 1


@pytest.fixture
def worker(database: Database, made_of: Migrations) -> Iterator[Worker]:
    """A worker with a database."""
    with prepared_databases(database.dsn, made_of):
        yield Worker(database.dsn, made_of, restart_sequences=False)


def rows(connection: Connection[TupleRow]) -> dict[str, int]:
    """Tables that have rows, and how many."""
    query = "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind = 'r'"
    names = [name for (name,) in connection.execute(query).fetchall()]
    counts = {}
    for name in names:
        count = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.SQL(name))
        ((counts[name],),) = connection.execute(count).fetchall()
    return {name: number for name, number in counts.items() if number}


SEEDS = {"countries": 2}

WRITES = {
    "plain": "INSERT INTO users (country) VALUES ('at'), (NULL)",
    "beside seeds": "INSERT INTO countries VALUES ('li'); INSERT INTO users (country) VALUES ('li')",
    "a chain": "INSERT INTO users (id, boss) SELECT -i, nullif(1 - i, 0) FROM generate_series(1, 50) AS i",
    "a ring": "BEGIN; INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1), (2, 1); COMMIT",
    "partitions": "INSERT INTO p VALUES (1), (20); INSERT INTO of_p VALUES (1), (20)",
    "inheritance": "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
    "odd names": 'INSERT INTO "other ""one"."odd %s" VALUES (1)',
    "a trigger that writes": "INSERT INTO noted VALUES (1), (2)",
    "rolled back": "BEGIN; INSERT INTO users DEFAULT VALUES; ROLLBACK",
    "subtransactions": "DO $$ BEGIN FOR i IN 11..13 LOOP BEGIN INSERT INTO a VALUES (i); EXCEPTION WHEN "
    "OTHERS THEN NULL; END; END LOOP; END $$",
    "updated": "INSERT INTO users DEFAULT VALUES; UPDATE users SET country = 'ch'",
    "copied": "CREATE TEMP TABLE t AS SELECT generate_series(101, 200) AS x; INSERT INTO a SELECT x FROM t",
    "truncated": "INSERT INTO of_p VALUES (NULL); TRUNCATE of_p; INSERT INTO of_p VALUES (NULL)",
    "no triggers": "SET session_replication_role = replica; INSERT INTO users (boss) VALUES (4711)",
}


def test_new_rows_go_and_seeds_stay(worker: Worker) -> None:
    for what, statements in WRITES.items():
        with worker.test() as connection:
            assert rows(connection) == SEEDS, f"before {what}"
            connection.execute(statements.encode())
    with worker.test() as connection:
        assert rows(connection) == SEEDS, "after all"
    with worker.test() as connection:
        for statements in WRITES.values():
            connection.execute("RESET ALL")
            connection.execute("DROP TABLE IF EXISTS t")
            connection.execute(statements.encode())
    with worker.test() as connection:
        assert rows(connection) == SEEDS, "after all at once"
    assert worker.is_same


CHANGES = {
    "updated seed": "UPDATE countries SET name = 'Österreich' WHERE code = 'at'",
    "deleted seed": "DELETE FROM countries",
    "truncated seeds": "TRUNCATE countries CASCADE",
    "deleted and added": "DELETE FROM countries WHERE code = 'at';"
    " INSERT INTO countries VALUES ('at', 'Austria')",
    "new table": "CREATE TABLE neu (x int)",
    "new column": "ALTER TABLE users ADD COLUMN neu int",
    "dropped table": "DROP TABLE audit",
    "a rule that keeps rows": "INSERT INTO noted VALUES (1);"
    " CREATE RULE stay AS ON DELETE TO noted DO INSTEAD NOTHING",
    "a trigger that keeps rows": "INSERT INTO noted VALUES (1);"
    " CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
}


def test_what_cant_be_undone_is_made_anew(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    for what, statements in CHANGES.items():
        with worker.test() as connection:
            assert rows(connection) == SEEDS
            name = connection.info.dbname
            connection.execute(statements.encode())
            caplog.clear()
        assert f"the database {name} is made anew" in caplog.text, what
    with worker.test() as connection:
        assert rows(connection) == SEEDS
        assert connection.info.dbname == name, "its DSN stays"
        assert connection.execute("SELECT name FROM countries WHERE code = 'at'").fetchone() == ("Austria",)
    assert len(set(worker.oids)) == len(worker.oids)


def test_another_process_may_have_written(worker: Worker, python: str) -> None:
    write = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
    with worker.test() as connection:
        statement = "INSERT INTO users DEFAULT VALUES"
        subprocess.run([python, "-W", "ignore", "-c", write, connection.info.dsn, statement], check=True)
        with psycopg.connect(connection.info.dsn, autocommit=True) as pooled:
            pooled.execute("INSERT INTO a VALUES (1)")
            assert set(rows(connection)) == {"countries", "users", "a"}
    with worker.test() as connection:
        assert rows(connection) == SEEDS
    assert worker.is_same


def test_a_session_that_stays_connected_is_left_alone(worker: Worker) -> None:
    with worker.test() as connection:
        pooled = psycopg.connect(connection.info.dsn, autocommit=True)
        for _ in range(3):
            pooled.execute("INSERT INTO users DEFAULT VALUES")
    for _ in range(3):
        with worker.test() as connection:
            assert rows(connection) == SEEDS
            pooled.execute("INSERT INTO users DEFAULT VALUES")
    pooled.close()
    assert worker.is_same


def test_an_open_transaction_is_ended_and_named(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    with worker.test() as connection:
        left = psycopg.connect(connection.info.dsn, application_name="left open")
        left.execute("INSERT INTO users DEFAULT VALUES")
        reader = psycopg.connect(connection.info.dsn)
        reader.execute("SELECT * FROM users")
        connection.execute("BEGIN; INSERT INTO a VALUES (1); PREPARE TRANSACTION 'left'")
    assert f"a transaction was left open in {reader.info.dbname} and was ended: pid" in caplog.text
    assert "(left open)" in caplog.text
    reader.execute("SELECT * FROM users")
    with pytest.raises(psycopg.OperationalError):
        left.commit()
    with worker.test() as connection:
        assert rows(connection) == SEEDS
        assert connection.execute("SELECT 1 FROM pg_prepared_xacts").fetchall() == []
    left.close()
    reader.close()
    assert worker.is_same


def test_a_locked_table_is_freed(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    with worker.test() as connection:
        left = psycopg.connect(connection.info.dsn)
        left.execute("LOCK TABLE audit")
    assert "a transaction was left open" in caplog.text
    left.close()
    with worker.test() as connection:
        assert rows(connection) == SEEDS
    assert worker.is_same


@pytest.mark.parametrize("restarts", [True, False])
def test_sequences_restart_on_demand(restarts: bool, database: Database, made_of: Migrations) -> None:
    worker = Worker(database.dsn, made_of, restart_sequences=restarts)
    query = "SELECT nextval('numbers'), nextval('users_id_seq')"
    with prepared_databases(database.dsn, made_of, restart_sequences=restarts):
        found = []
        for _ in range(3):
            with worker.test() as connection:
                found.append(connection.execute(query).fetchone())
    assert found == ([(8, 1)] * 3 if restarts else [(8, 1), (9, 2), (10, 3)])
    assert worker.is_same


def test_many_tables_are_asked_in_portions(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute(
        "DO $$ BEGIN FOR i IN 1..250 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS x', i, i % 2);"
        " IF i % 3 > 0 THEN EXECUTE format('DELETE FROM t%s', i); END IF; END LOOP; END $$"
    )
    tables = EmptiedTables(database.dsn)
    assert tables.empty() == []
    owner.execute("INSERT INTO t1 VALUES (1); INSERT INTO t123 VALUES (2); INSERT INTO t250 VALUES (3)")
    assert [name.replace('"', "") for name in tables.empty()] == ["public.t1", "public.t123", "public.t250"]
    assert tables.empty() == []
    assert owner.execute("SELECT x FROM t123").fetchall() == [(1,)]
    tables.close()


def test_it_goes_on_after_a_lost_session(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    with worker.test() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with worker.test() as connection:
        assert rows(connection) == SEEDS
    assert caplog.records[0].levelno == logging.WARNING
