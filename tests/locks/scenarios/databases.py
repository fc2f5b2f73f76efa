"""Waits for a database, and databases that look alike."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import accounts, row
from tests.locks.scenarios.truth import Truth, connected, hard, scenario
from tests.servers.sessions import RunningStatement


@scenario()
def database_dropped_behind_a_comment(cast: Cast) -> Truth:
    name = cast.another_database()
    holder, dropping = cast.session("holder"), cast.session("dropping", autocommit=True)
    holder.execute(f"COMMENT ON DATABASE {name} IS 'held'".encode())
    cast.waits(dropping, f"DROP DATABASE {name}")
    return Truth((hard("dropping", "holder", f"database {name}"),), roots={"holder": 1})


@scenario()
def connection_to_a_template_that_is_being_copied(cast: Cast) -> Truth:
    template, copy = cast.another_database(), cast.reserve_database()
    holder, creator = cast.session("holder"), cast.session("creator", autocommit=True)
    # Lets everybody connect, and nobody finish a CREATE DATABASE.
    holder.execute("LOCK TABLE pg_database IN SHARE MODE")
    cast.waits(creator, f"CREATE DATABASE {copy} TEMPLATE {template}")
    cast.connecting("connecting", template)
    return Truth(
        (
            hard("creator", "holder", "table pg_database"),
            hard("connecting", "creator", f"database {template}"),
        ),
        roots={"holder": 2},
    )


@scenario()
def template_copied_twice_at_once(cast: Cast) -> Truth:
    template, copies = cast.another_database(), [cast.reserve_database() for _ in range(2)]
    holder, first, second = (cast.session(part, autocommit=True) for part in ("holder", "first", "second"))
    holder.execute("BEGIN; LOCK TABLE pg_database IN SHARE MODE")
    for creator, copy in zip((first, second), copies, strict=True):
        cast.waits(creator, f"CREATE DATABASE {copy} TEMPLATE {template}")
    # Both share the template, and both only want to write to pg_database.
    words = "table pg_database"
    return Truth((hard("first", "holder", words), hard("second", "holder", words)), roots={"holder": 2})


def _clones(cast: Cast) -> tuple[str, str]:
    accounts(cast)
    return cast.another_database(cast.database), cast.another_database(cast.database)


@scenario()
def table_of_one_oid_locked_in_two_databases(cast: Cast) -> Truth:
    for part, name in zip(("one", "other"), _clones(cast), strict=True):
        holder, waiter = (cast.session(f"{part} {role}", database=name) for role in ("holder", "waiter"))
        holder.execute("LOCK TABLE accounts")
        cast.waits(waiter, "SELECT * FROM accounts")
    words = "table accounts"
    return Truth(
        (hard("one waiter", "one holder", words), hard("other waiter", "other holder", words)),
        roots={"one holder": 1, "other holder": 1},
    )


@scenario()
def row_of_one_oid_locked_in_two_databases(cast: Cast) -> Truth:
    names = _clones(cast)
    # There, another row is in that place.
    cast.run("UPDATE accounts SET id = 142 WHERE id = 42", names[1])
    for part, name in zip(("one", "other"), names, strict=True):
        holder, waiter = (cast.session(f"{part} {role}", database=name) for role in ("holder", "waiter"))
        holder.execute("UPDATE accounts SET balance = 1 WHERE id IN (42, 142)")
        cast.waits(waiter, "DELETE FROM accounts WHERE id IN (42, 142)")
    return Truth(
        (hard("one waiter", "one holder", row(42)), hard("other waiter", "other holder", row(142))),
        roots={"one holder": 1, "other holder": 1},
    )


@scenario()
def table_of_one_oid_wanted_in_another_database(cast: Cast) -> Truth:
    one, other = _clones(cast)
    elsewhere = cast.session("elsewhere", database=one)
    holder, waiter = cast.session("holder", database=other), cast.session("waiter", database=other)
    elsewhere.execute("LOCK TABLE accounts")
    holder.execute("SELECT * FROM accounts")
    cast.waits(waiter, "LOCK TABLE accounts")
    return Truth((hard("waiter", "holder", "table accounts"),), roots={"holder": 1}, innocents=("elsewhere",))


CONNECTED = "connected_to_database"


def _alone(cast: Cast, statement: str) -> Truth:
    name = cast.another_database()
    idle, busy = cast.session("idle", name, autocommit=True), cast.session("busy", name)
    elsewhere, waiter = cast.session("elsewhere", autocommit=True), cast.session("waiter", autocommit=True)
    for session in (idle, busy, elsewhere):
        session.execute("SELECT 1")
    cast.needs_alone(waiter, statement.format(name, cast.reserve_database()))
    return Truth(
        tuple(connected("waiter", one, f"database {name}") for one in ("idle", "busy")),
        roots={"idle": 1, "busy": 1},
        innocents=("elsewhere",),
        causes={"idle": CONNECTED, "busy": CONNECTED},
    )


@scenario()
def database_dropped_while_others_are_connected(cast: Cast) -> Truth:
    return _alone(cast, "DROP DATABASE {}")


@scenario()
def database_renamed_while_others_are_connected(cast: Cast) -> Truth:
    return _alone(cast, "ALTER DATABASE {} RENAME TO {}")


@scenario()
def template_copied_while_others_are_connected(cast: Cast) -> Truth:
    return _alone(cast, "CREATE DATABASE {1} TEMPLATE {0}")


@scenario()
def connection_to_a_database_that_is_being_dropped(cast: Cast) -> Truth:
    name = cast.another_database()
    cast.session("inside", name)
    dropping = cast.session("dropping", autocommit=True)
    cast.needs_alone(dropping, f"DROP DATABASE {name}")
    cast.connecting("connecting", name)
    words = f"database {name}"
    return Truth(
        (connected("dropping", "inside", words), hard("connecting", "dropping", words)),
        roots={"inside": 2},
        causes={"inside": CONNECTED},
    )


@scenario()
def database_dropped_with_a_prepared_transaction_in_it(cast: Cast) -> Truth:
    name = cast.another_database()
    inside = cast.session("inside", name)
    inside.execute("CREATE TABLE bills ()")
    cast.prepare("prepared", inside)
    dropping = cast.session("dropping", autocommit=True)
    cast.needs_alone(dropping, f"DROP DATABASE {name}")
    return Truth(
        (connected("dropping", "prepared", f"database {name}"),),
        roots={"prepared": 1},
        causes={"prepared": CONNECTED},
    )


@scenario()
def database_dropped_with_force(cast: Cast) -> Truth:
    name = cast.another_database()
    inside, dropping = cast.session("inside", name), cast.session("dropping", autocommit=True)
    # So that it is there still, though it was told to end.
    cast.stopped(inside)
    cast.needs_alone(dropping, f"DROP DATABASE {name} WITH (FORCE)")
    return Truth(innocents=("inside", "dropping"))


@scenario()
def database_commented_on_while_others_are_connected(cast: Cast) -> Truth:
    name = cast.another_database()
    cast.session("inside", name)
    commenting = cast.session("commenting")
    commenting.execute(f"COMMENT ON DATABASE {name} IS 'held'".encode())
    # At work, so that nothing but the mode of its lock tells it from a DROP.
    RunningStatement(commenting, "SELECT pg_sleep(60)", ())
    cast.until_event(commenting, "PgSleep")
    cast.session("owner").execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER".encode())
    cast.session("setting").execute(f"ALTER DATABASE {cast.database} SET work_mem = '8MB'".encode())
    cast.session("renaming").execute(
        f"ALTER DATABASE {cast.another_database()} RENAME TO {cast.reserve_database()}".encode()
    )
    return Truth(innocents=("inside", "commenting", "owner", "setting", "renaming"))
