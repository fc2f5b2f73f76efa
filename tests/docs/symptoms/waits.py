"""Plays of a statement that waits for somebody, until it fails."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from tests.docs.symptoms.stage import BOOKINGS, DELETE, UPDATE, Stage, error_of, symptom


@symptom('database "…" is being accessed by other users')
def being_accessed_by_other_users(stage: Stage) -> psycopg.Error:
    other = stage.cast.another_database(name=f"{stage.cast.database}_gw1")
    stage.cast.session("books", other).execute("SELECT 1")
    return stage.needs_alone("drops", f"DROP DATABASE {other}")


@symptom('source database "…" is being accessed by other users')
def source_database(stage: Stage) -> psycopg.Error:
    template = stage.cast.another_database(name=f"{stage.cast.database}_template")
    copy = stage.cast.reserve_database(f"{stage.cast.database}_gw1")
    stage.cast.session("migrates", template).execute("SELECT 1")
    return stage.needs_alone("copies", f"CREATE DATABASE {copy} TEMPLATE {template}")


@symptom("There is 1 prepared transaction using the database")
def prepared_transaction(stage: Stage) -> psycopg.Error:
    other = stage.cast.another_database(name=f"{stage.cast.database}_gw1")
    paying = stage.cast.session("pays", other)
    paying.execute("CREATE TABLE payments (id int)")
    paying.execute("PREPARE TRANSACTION 'payment_17'")
    paying.close()
    error = stage.needs_alone("drops", f"DROP DATABASE {other}")
    stage.cast.run("ROLLBACK PREPARED 'payment_17'", other)
    return error


@symptom("canceling statement due to lock timeout")
def lock_timeout(stage: Stage) -> psycopg.Error:
    _, waiting = stage.holds_up(UPDATE, DELETE, limit="SET lock_timeout = '3s'")
    return stage.error_of(waiting)


@symptom("canceling statement due to statement timeout")
def statement_timeout(stage: Stage) -> psycopg.Error:
    _, waiting = stage.holds_up(
        "SELECT * FROM users",
        "ALTER TABLE users ADD COLUMN phone text",
        holder="reads",
        waiter="migrates",
        limit="SET statement_timeout = '3s'",
    )
    return stage.error_of(waiting)


@symptom("deadlock detected")
def deadlock_detected(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    one, other = stage.session("merges"), stage.session("swaps")
    for session, first in ((one, 1), (other, 2)):
        session.execute("SET deadlock_timeout = '3s'")
        session.execute("UPDATE users SET email = 'x' || id WHERE id = %s", [first])
    both = (
        stage.cast.waits(one, "UPDATE users SET email = 'y' || id WHERE id = 2"),
        stage.cast.waits(other, "UPDATE users SET email = 'y' || id WHERE id = 1"),
    )
    stage.show("locks")
    found = []
    for running in both:
        with suppress(AssertionError):
            found.append(error_of(running.result))
    [error] = found
    return error


@symptom('could not obtain lock on row in relation "…"')
def could_not_obtain_lock(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    holder, other = stage.session("cancels"), stage.session("books")
    holder.execute("SELECT * FROM users WHERE id = 2 FOR UPDATE")
    error = error_of(lambda: other.execute("SELECT * FROM users WHERE id = 2 FOR UPDATE NOWAIT"))
    other.rollback()
    # Who looks with NOWAIT waits for nobody: without, it is seen.
    stage.cast.waits(other, "SELECT * FROM users WHERE id = 2 FOR UPDATE")
    stage.show("locks")
    return error


@symptom("tuple concurrently updated")
def tuple_concurrently_updated(stage: Stage) -> psycopg.Error:
    grant = "GRANT SELECT ON users TO public"
    holder, waiting = stage.holds_up(grant, grant, holder="sets_up", waiter="sets_up_too")
    stage.show("locks")
    holder.commit()
    return error_of(waiting.result)


@symptom('duplicate key value violates unique constraint "pg_type_typname_nsp_index"')
def made_twice(stage: Stage) -> psycopg.Error:
    create = "CREATE TABLE IF NOT EXISTS settings (name text, value text)"
    holder, waiting = stage.holds_up(create, create, holder="sets_up", waiter="sets_up_too")
    stage.show("locks")
    holder.commit()
    return error_of(waiting.result)


@symptom("canceling statement due to user request")
def user_request(stage: Stage) -> psycopg.Error:
    _, waiting = stage.holds_up(UPDATE, DELETE)
    stage.show("locks", "--cancel", str(waiting.pid), "--yes")
    return error_of(waiting.result)
