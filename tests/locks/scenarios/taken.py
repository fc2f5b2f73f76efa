"""Locks whose table the blocker's statement doesn't name as the catalogs do, and yet has taken."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import accounts, row
from tests.locks.scenarios.truth import Truth, hard, scenario

_MAY_REACH_IT = "doesn't name that table, unless by a view, trigger, function or foreign key"


@scenario()
def row_taken_through_a_view(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE VIEW mine AS SELECT * FROM accounts")
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute("UPDATE mine SET balance = 1 WHERE id = 42")
    cast.waits(waiter, "UPDATE accounts SET balance = 2 WHERE id = 42")
    return Truth((hard("waiter", "holder", row(42)),), roots={"holder": 1}, said={"holder": (_MAY_REACH_IT,)})


@scenario()
def row_taken_by_a_trigger(cast: Cast) -> Truth:
    accounts(cast)
    cast.run(
        "CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0);"
        "CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE counters SET n = n + 1 WHERE id = 1; RETURN NULL; END $$;"
        "CREATE TRIGGER tally AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION tally()"
    )
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute("INSERT INTO accounts (id) VALUES (1)")
    cast.waits(waiter, "INSERT INTO accounts (id) VALUES (2)")
    words = "row of counters (id=1)"
    return Truth((hard("waiter", "holder", words),), roots={"holder": 1}, said={"holder": (_MAY_REACH_IT,)})


@scenario()
def row_of_a_table_whose_name_is_cut_off(cast: Cast) -> Truth:
    written, name = "ä" * 40, "ä" * 31
    cast.run(f"CREATE TABLE {written} AS SELECT 1 AS id, 0 AS n; ALTER TABLE {written} ADD PRIMARY KEY (id)")
    holder, waiter = cast.sessions("holder", "waiter")
    update = "UPDATE {} SET n = n + 1"
    holder.execute(update.format(written).encode())
    cast.waits(waiter, update.format(written))
    return Truth(
        (hard("waiter", "holder", f'row of "{name}" (id=1)'),),
        roots={"holder": 1},
        unsaid={"holder": ("isn't known",)},
    )


@scenario()
def index_taken_with_its_table(cast: Cast) -> Truth:
    accounts(cast)
    reader, rebuilder = cast.sessions("reader", "rebuilder")
    reader.execute("SELECT * FROM accounts WHERE id = 42")
    cast.waits(rebuilder, "REINDEX INDEX accounts_pkey")
    return Truth(
        (hard("rebuilder", "reader", "index accounts_pkey"),),
        roots={"reader": 1},
        causes={"reader": "idle_in_transaction"},
        said={"reader": ("Run REINDEX INDEX while no tests run.",)},
        unsaid={"reader": ("isn't known",)},
    )


@scenario()
def key_of_a_row_that_somebody_updates(cast: Cast) -> Truth:
    accounts(cast)
    holder, upserting = cast.sessions("holder", "upserting")
    holder.execute("UPDATE accounts SET balance = 1 WHERE id = 42")
    # The server waits at the index, before it locks the row (check_exclusion_or_unique_constraint).
    cast.waits(
        upserting,
        "INSERT INTO accounts (id, balance) VALUES (42, 2) ON CONFLICT (id) DO UPDATE SET balance = 2",
    )
    return Truth(
        (hard("upserting", "holder", "unique key of accounts"),),
        roots={"holder": 1},
        causes={"holder": "same_key"},
        said={"holder": ("both write a row with the same unique key of accounts",)},
    )


@scenario()
def table_wanted_for_a_foreign_key(cast: Cast) -> Truth:
    cast.run("CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (parent int)")
    holder, altering = cast.sessions("holder", "altering")
    holder.execute("INSERT INTO parents VALUES (1)")
    cast.waits(altering, "ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents")
    return Truth(
        (hard("altering", "holder", "table parents"),),
        roots={"holder": 1},
        causes={"holder": "idle_in_transaction"},
        said={"holder": ("ALTER TABLE by", "Change tables before the tests run")},
    )
