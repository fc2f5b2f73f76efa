"""Random schemas with random triggers, and random changes of them during a sweep, beside an own oracle.

PGWATCH_EXAMPLES is how many of each are tried, by default a few. A failing one isn't made smaller, which
would take minutes: they are small.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from random import Random
from threading import Thread

import psycopg
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SweepProgress, SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.servers.sessions import Database, is_waiting
from tests.sweep.rows.bookings import RunningSweep, now_ms
from tests.sweep.rows.gates import Gate
from tests.sweep.rows.row_sweeps import swept
from tests.sweep.triggers.triggered import YOUNG, Schema, Spot, may_go, schemas
from tests.waiting import PATIENCE_S, wait_until

some_examples = settings(
    max_examples=int(os.environ.get("PGWATCH_EXAMPLES", "8")),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

_LIVE = (
    "CREATE TABLE live (id int, uid int REFERENCES t{table} %s, m text);"
    "INSERT INTO live SELECT n, t.id, '{young}' FROM generate_series(1, 2) AS n,"
    " (SELECT id FROM t{table} WHERE id < 1000 ORDER BY id LIMIT 1) AS t;"
    "CREATE TABLE live_then AS TABLE live"
)
CHANGES: dict[str, str] = {
    "a key by CASCADE": _LIVE % "ON DELETE CASCADE",
    "a key by SET NULL": _LIVE % "ON DELETE SET NULL",
    "a key": _LIVE % "",
    "a partition": "CREATE TABLE t{table}_high PARTITION OF t{table} FOR VALUES FROM (1000) TO (2000);"
    "INSERT INTO t{table} (id, mark) VALUES (1001, 'real'), (1002, '{young}')",
    "a trigger that suppresses": "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN NULL; END $$;"
    "CREATE TRIGGER late BEFORE DELETE ON t{table} FOR EACH ROW EXECUTE FUNCTION late()",
    "a column": "ALTER TABLE t{table} ADD more text DEFAULT 'more'",
    "another type": "ALTER TABLE t{table} ALTER id TYPE bigint",
    "no triggers": "ALTER TABLE t{table} DISABLE TRIGGER ALL",
    "all written anew": "VACUUM FULL t{table}",
}
"""What is made of a table `t{{table}}` by somebody else; a running test's rows refer to one of its rows."""
LOSSES: dict[str, str] = {
    "no table": "DROP TABLE t{table} CASCADE",
    "an empty table": "TRUNCATE t{table} CASCADE",
}


def make(connection: Connection[TupleRow], made: Schema) -> None:
    connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with connection.transaction():
        for statement in made.statements():
            connection.execute(statement.encode())


def there(connection: Connection[TupleRow], made: Schema) -> frozenset[Spot]:
    """The rows that are there, of the tables that are."""
    found: set[Spot] = set()
    for number in range(len(made.partitioned)):
        if _is_there(connection, f"t{number}"):
            rows = connection.execute(f"SELECT id FROM t{number}".encode())  # noqa: S608
            found.update((number, id_) for (id_,) in rows)
    return frozenset(found)


def dangling(connection: Connection[TupleRow]) -> list[str]:
    """The foreign keys by which a row refers to nothing, of all that the database says it has."""
    keys = connection.execute(
        "SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text, b.attname FROM pg_constraint"
        " JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = conkey[1]"
        " JOIN pg_attribute AS b ON b.attrelid = confrelid AND b.attnum = confkey[1]"
        " WHERE contype = 'f' AND conparentid = 0"
    ).fetchall()
    found = []
    for child, column, parent, referred in keys:
        query = (
            f"SELECT FROM {child} AS c WHERE {column} IS NOT NULL"  # noqa: S608
            f" AND NOT EXISTS (SELECT FROM {parent} AS p WHERE p.{referred} = c.{column})"
        )
        if connection.execute(query.encode()).rowcount:
            found.append(f"{child}.{column}")
    return found


def counts(rows: frozenset[Spot]) -> Counter[str]:
    return Counter(f"t{number}" for number, _ in rows)


def told(report: SweepReport) -> Counter[str]:
    """How many rows a report says went from each table, by us or by triggers; partitions with their root."""
    found: Counter[str] = Counter()
    for table in report.deleted:
        found[table.table.partition("_")[0]] += table.total
    for effect in report.side_effects:
        if effect.table != "audit":
            found[effect.table.partition("_")[0]] += effect.deleted
    return +found


def is_witness_kept(report: SweepReport) -> bool:
    """Whether a row stays as the last marked one beside real ones."""
    return "last marked row" in str(report.kept)


@some_examples
@given(schemas())
def test_beside_triggers(database: Database, made: Schema) -> None:
    going = may_go(made)
    by_triggers = made.by_triggers(going)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        make(connection, made)
        before = there(connection, made)

        dry = swept(database.dsn, dry_run=True)
        assert there(connection, made) == before
        report = swept(database.dsn)
        left = there(connection, made)
        gone = before - left

        assert not report.error
        assert dangling(connection) == []
        assert gone <= going | by_triggers
        assert told(report) == counts(gone)
        assert not report.deleted or {table.schema for table in report.deleted} == {"public"}
        # What the server would set isn't set where its triggers are off: then a row stays.
        is_set = all(key.takes_along or key.parent not in made.off for key in made.keys)
        is_sure = not by_triggers and not _collides(made) and is_set
        if is_sure and not is_witness_kept(report):
            assert gone == going
        if is_sure and not made.refusing:
            assert dry.planned == report.planned == report.deleted
            assert _changed(dry) == _changed(report)
        audited = connection.execute("SELECT number, id FROM audit").fetchall()
        logging = {one.table for one in made.triggers if one.kind == "audit" and one.enabled}
        assert Counter(audited) == Counter(spot for spot in gone if spot[0] in logging)
        assert _miscounted(connection, made) == []
        again = swept(database.dsn)
        if is_sure:
            assert again.deleted == ()
            assert there(connection, made) == left
        event(f"{'some' if gone else 'none'} gone, {'sure' if is_sure else 'perhaps'}")


@some_examples
@given(schemas(), st.sampled_from(sorted(CHANGES | LOSSES)), st.integers(0, 4), st.integers(1, 6))
def test_beside_changes(database: Database, made: Schema, change: str, table: int, calls: int) -> None:
    """The change is made between two words of progress."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        make(connection, made)
        before = there(connection, made)
        pausing = _PauseAt(calls)
        sweep = _small_batches(database, pausing)
        try:
            pausing.wait(sweep)
            at_pause = there(connection, made)
            _make(connection, made, change, table)
            lost = at_pause - there(connection, made)
        finally:
            pausing.release()
        _all_is_well(connection, made, before - lost, sweep.result(), change, table)
        event(f"{change}: {'in the middle' if pausing.reached else 'afterwards'}")


@some_examples
@given(schemas(), st.sampled_from(sorted(CHANGES)), st.integers(0, 4), st.randoms(use_true_random=False))
def test_beside_changes_that_wait_for_a_batch(
    database: Database, made: Schema, change: str, table: int, chance: Random
) -> None:
    """The change waits for locks of a batch, and is made before the next one has its own."""
    with (
        psycopg.connect(database.dsn, autocommit=True) as connection,
        psycopg.connect(database.dsn, autocommit=True) as other,
        psycopg.connect(database.dsn, autocommit=True) as holder,
    ):
        make(connection, made)
        before = there(connection, made)
        with Gate(holder) as gate:
            # Where it isn't passed, because the row stays or a trigger comes first, it's over at once.
            number, id_ = chance.choice(sorted(before))
            gate.put_before_row(f"t{number}", f"OLD.id = {id_}")
            sweep = _small_batches(database)
            wait_until(lambda: gate.somebody_waits() or sweep.done)
            is_there = gate.somebody_waits()
            changing = Thread(target=_make, args=(other, made, change, table), daemon=True)
            changing.start()
            pid = other.info.backend_pid
            wait_until(lambda: not changing.is_alive() or is_waiting(connection, pid))
            gate.open()
            report = sweep.result()
            changing.join(PATIENCE_S)
        _all_is_well(connection, made, before, report, change, table)
        event(f"{change}: {'in the middle' if is_there else 'afterwards'}")


def _small_batches(database: Database, progress: SweepProgressCallback | None = None) -> RunningSweep:
    request = SweepRequest(("rows",), dry_run=False, clusters_at_once=1)
    return RunningSweep(Settings(Dsn(database.dsn, "the test")), request, progress)


def _make(connection: Connection[TupleRow], made: Schema, change: str, table: int) -> None:
    """Changes one of the tables, if it can be changed so."""
    tables = [number for number, has in enumerate(made.partitioned) if has or change != "a partition"]
    if not tables:
        return
    table = tables[table % len(tables)]
    statements = (CHANGES | LOSSES)[change].format(table=table, young=YOUNG.format("1", now=now_ms()))
    with suppress(errors.FeatureNotSupported, errors.DatatypeMismatch, errors.InvalidTableDefinition):
        connection.execute(statements.encode())


def _without(made: Schema, lost: Collection[Spot], table: int | None) -> Schema:
    """The same without some rows, and without a table, its keys and its triggers."""
    dropped = None if table is None else table % len(made.partitioned)
    keys = [key for key in made.keys if dropped not in (key.child, key.parent)]
    parents = {key.number: key.parent for key in keys}
    rows = {
        spot: replace(
            row,
            refers={
                key: above
                for key, above in row.refers.items()
                if key in parents and (parents[key], above) not in lost
            },
        )
        for spot, row in made.rows.items()
        if spot not in lost and spot[0] != dropped
    }
    triggers = [one for one in made.triggers if one.table != dropped and (one.key is None or one.key in keys)]
    return replace(made, keys=keys, rows=rows, triggers=triggers)


def _all_is_well(
    connection: Connection[TupleRow],
    made: Schema,
    before: frozenset[Spot],
    report: SweepReport,
    change: str,
    table: int,
) -> None:
    """`before` are the rows that were there, but for those that the change took."""
    left = there(connection, made)
    gone = before - left
    going = may_go(made)
    if change == "no triggers":
        # Then its own don't refuse any more.
        table %= len(made.partitioned)
        going |= may_go(replace(made, triggers=[one for one in made.triggers if one.table != table]))

    if change in LOSSES:
        # What the lost rows, or the table's triggers, kept may go without them.
        going |= may_go(_without(made, made.rows.keys() - before, table if change == "no table" else None))

    assert not report.error
    assert dangling(connection) == []
    assert gone <= going | made.by_triggers(going)
    if change in CHANGES:
        assert told(report) == counts(gone)
    # Those that the change brought are of now.
    if _is_there(connection, "live_then"):
        assert _rows(connection, "live") == _rows(connection, "live_then")
    high = [number for number in range(len(made.partitioned)) if _is_there(connection, f"t{number}_high")]
    assert {(number, id_) for number in high for id_ in (1001, 1002)} <= left


def _is_there(connection: Connection[TupleRow], table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,)


def _rows(connection: Connection[TupleRow], table: str) -> list[TupleRow]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()  # noqa: S608


class _PauseAt:
    """Holds up a sweep at its n-th word of progress."""

    def __init__(self, calls: int) -> None:
        self._left = calls
        self._reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, progress: SweepProgress) -> None:
        self._left -= 1
        if self._left == 0:
            self._reached.set()
            assert self._released.wait(PATIENCE_S)

    @property
    def reached(self) -> bool:
        return self._reached.is_set()

    def wait(self, sweep: RunningSweep) -> None:
        """Returns once it is held up, or was never."""
        wait_until(lambda: self.reached or sweep.done)

    def release(self) -> None:
        self._released.set()


def _changed(report: SweepReport) -> Counter[tuple[str, tuple[str, ...], str]]:
    return Counter({(one.table, one.columns, one.how): one.rows for one in report.changed})


def _collides(made: Schema) -> bool:
    """Whether a trigger may write to a row that the same statement deletes, which the server refuses."""
    return any(
        one.kind in ("counter", "subtype") and one.enabled and one.key is not None
        for one in made.triggers
        if one.key is not None and _reaches(made, one.key.parent, one.table)
    )


def _reaches(made: Schema, child: int, parent: int) -> bool:
    """Whether a table refers to another, in the end, or is the same."""
    seen, todo = {child}, [child]
    while todo:
        at = todo.pop()
        for key in made.keys:
            if key.child == at and key.parent not in seen:
                seen.add(key.parent)
                todo.append(key.parent)
    return parent in seen


def _miscounted(connection: Connection[TupleRow], made: Schema) -> list[TupleRow]:
    """The rows whose counters don't say how many rows refer to them."""
    counting: dict[int, list[str]] = {}
    for one in made.triggers:
        if one.kind == "counter" and one.enabled and one.key is not None:
            counted = f"(SELECT count(*) FROM t{one.table} WHERE k{one.key.number} = above.id)"  # noqa: S608
            counting.setdefault(one.key.parent, []).append(counted)
    found: list[TupleRow] = []
    for parent, counts in counting.items():
        query = f"SELECT id, uses FROM t{parent} AS above WHERE uses <> {' + '.join(counts)}"  # noqa: S608
        found += connection.execute(query.encode()).fetchall()
    return found
