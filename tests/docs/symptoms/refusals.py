"""Plays of a statement that the server refuses at once."""

from __future__ import annotations

import psycopg

from tests.docs.symptoms.stage import BOOKINGS, DELETE, Stage, error_of, symptom


@symptom('duplicate key value violates unique constraint "…"')
def duplicate_key(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    insert = "INSERT INTO users VALUES (7, 'anna@test.example.com')"
    stage.cast.run(insert)
    error = error_of(lambda: stage.session("registers").execute(insert))
    stage.show("leaks")
    return error


@symptom('update or delete on table "…" violates foreign key constraint "…"')
def violates_foreign_key(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    stage.cast.run("INSERT INTO bookings (user_id, slot) VALUES (2, 9), (2, 10)")
    delete = "DELETE FROM users WHERE email LIKE '%@test.example.com'"
    error = error_of(lambda: stage.session("cleans_up").execute(delete))
    stage.show("sweep", "--min-age", "0s")
    return error


@symptom("cannot drop schema … because other objects depend on it")
def cannot_drop(stage: Stage) -> psycopg.Error:
    schema = "test_1717171717171_4711_5e6f7a8b"
    stage.cast.run(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.users (id int)")
    error = error_of(lambda: stage.session("cleans_up").execute(f"DROP SCHEMA {schema}".encode()))
    stage.show("sweep", "--only", "schemas")
    return error


@symptom("current transaction is aborted, commands ignored until end of transaction block")
def aborted_transaction(stage: Stage) -> psycopg.Error:
    session = stage.session("books")
    error_of(lambda: session.execute("SELECT 1 / 0"))
    stage.show("sessions", "--idle")
    return error_of(lambda: session.execute("SELECT 1"))


@symptom("could not serialize access due to concurrent update")
def cannot_serialize_update(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    one, other = stage.session("books"), stage.session("cancels")
    one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    one.execute("SELECT * FROM users")
    other.execute("UPDATE users SET email = NULL WHERE id = 2")
    other.commit()
    return error_of(lambda: one.execute(DELETE.encode()))


@symptom('database "…" already exists')
def already_exists(stage: Stage) -> psycopg.Error:
    create = f"CREATE DATABASE {stage.cast.another_database(name=f'{stage.cast.database}_gw1')}"
    return error_of(lambda: stage.session("makes_it_again", autocommit=True).execute(create.encode()))


@symptom("could not serialize access due to read/write dependencies among transactions")
def cannot_serialize_reads(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    both = stage.session("books"), stage.session("books_too")
    for session in both:
        session.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        session.execute("SELECT count(*) FROM bookings WHERE slot = 9")
    for user, session in enumerate(both, 1):
        session.execute("INSERT INTO bookings (user_id, slot) VALUES (%s, 9)", [user])
    both[0].commit()
    return error_of(both[1].commit)


@symptom("cannot truncate a table referenced in a foreign key constraint")
def cannot_truncate(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    (stage.home / "tests").mkdir()
    (stage.home / "tests" / "conftest.py").write_text('def clean(db):\n    db.execute("TRUNCATE users")\n')
    stage.show("lint", "tests", "--dsn", "")
    return error_of(lambda: stage.session("cleans_up").execute("TRUNCATE users"))


@symptom('cannot ALTER TABLE "…" because it has pending trigger events')
def pending_trigger_events(stage: Stage) -> psycopg.Error:
    stage.cast.run(
        BOOKINGS + "ALTER TABLE bookings ALTER CONSTRAINT bookings_user_id_fkey INITIALLY DEFERRED"
    )
    session = stage.session("migrates")
    session.execute("INSERT INTO bookings (user_id, slot) VALUES (2, 9)")
    return error_of(lambda: session.execute("ALTER TABLE bookings ADD COLUMN note text"))


@symptom("cached plan must not change result type")
def cached_plan(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    session = stage.session("lists", autocommit=True)
    session.execute("SELECT * FROM users", prepare=True)
    stage.session("migrates", autocommit=True).execute("ALTER TABLE users ADD COLUMN phone text")
    return error_of(lambda: session.execute("SELECT * FROM users", prepare=True))


@symptom('prepared transaction with identifier "…" does not exist')
def prepared_transaction_gone(stage: Stage) -> psycopg.Error:
    stage.show("locks", "--rollback-prepared", "payment_17", "--yes")
    commit = b"COMMIT PREPARED 'payment_17'"
    return error_of(lambda: stage.session("pays", autocommit=True).execute(commit))
