"""Generated runs in a history: builds of four shards, some in two attempts, over 180 days and forty branches.

The suite has pairs of tests that are in each other's way for months, others that were once, tests that leak,
and flaky ones that fail more often while they are blocked. The rows go in at once, past `RunStore.add`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from psycopg import Connection as PsycopgConnection
from psycopg import sql
from sqlalchemy import Connection, Table

from pgwatch_tests.history.layout import SCHEMA, is_postgresql
from pgwatch_tests.history.runs.strings import digest, packed
from pgwatch_tests.history.store import Store
from pgwatch_tests.history.tables import (
    BUILDS,
    RUN_CAUSES,
    RUN_LEAKS,
    RUN_OBJECTS,
    RUN_OUTCOMES,
    RUN_PAIRS,
    RUNS,
    STRINGS,
    TEST_SETS,
)

DAYS = 180
SHARDS = 4
TESTS = 1_600
_COUNTED = (BUILDS, RUNS, STRINGS, TEST_SETS)


class _Names:
    """Strings by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers) + 1)


def fill(store: Store, runs: int, seed: int = 1) -> None:
    """Puts that many runs into an empty history."""
    rows = _rows(runs, random.Random(seed))
    with store.writing() as connection:
        for table in (
            STRINGS,
            TEST_SETS,
            BUILDS,
            RUNS,
            RUN_PAIRS,
            RUN_OBJECTS,
            RUN_CAUSES,
            RUN_LEAKS,
            RUN_OUTCOMES,
        ):
            _insert(connection, table, rows[table.name])
        connection.exec_driver_sql("ANALYZE")


def _rows(runs: int, rng: random.Random) -> Mapping[str, list[Sequence[object]]]:
    name = _Names()
    empty, main = name(""), name("main")
    tests = [
        name(f"tests/test_area_{number % 40}.py::TestArea::test_case_{number}") for number in range(TESTS)
    ]
    branches = [main] * 26 + [name(f"feature/{number}") for number in range(39)]
    objects = [name(f"rows of table_{number}") for number in range(60)]
    causes = [
        name(one) for one in ("same_row", "same_key", "ddl_queue", "idle_in_transaction", "long_query", "")
    ]
    kinds, left = [name("rows"), name("schema")], [name(f"public.table_{number}") for number in range(60)]
    sure, mode = name("marker"), name("ShareLock")
    repository, ci, command = name("acme/shop"), name("github"), name("pytest -n 4 --dist load")
    fixed = [name(one) for one in ("runner", "ci@runner", "test", "1.0", "db:5432", "test_shop", "18.1")]
    machine, account, job, version, server, database, server_version = fixed
    shards = [name(f"{number + 1}/{SHARDS}") for number in range(SHARDS)]
    chronic = [
        (rng.choice(tests), rng.choice(tests), rng.uniform(0.01, 0.3), rng.random() * 0.7) for _ in range(60)
    ]
    leaky = [(rng.choice(tests), rng.choice(left), rng.uniform(0.01, 0.3)) for _ in range(40)]
    flaky = {
        test: rng.uniform(0.01, 0.06)
        for test in [waiter for _, waiter, _, _ in chronic[:30]] + rng.sample(tests, 40)
    }
    now = datetime.now(UTC)
    rows: defaultdict[str, list[Sequence[object]]] = defaultdict(list)
    sets: dict[bytes, int] = {}
    run = build = 0
    while run < runs:
        build += 1
        at = run / runs
        began = now - timedelta(days=DAYS * (1 - at), seconds=60)
        branch = rng.choice(branches)
        commit = name(f"{rng.getrandbits(160):040x}")
        rows["builds"].append(
            (build, digest(build), began, repository, branch, commit, ci, str(10_000_000 + build))
        )
        failed_shards = list(range(SHARDS))
        for attempt in (1, 2):
            again = []
            for shard in failed_shards:
                if run >= runs:
                    break
                run += 1
                mine = set(tests[shard::SHARDS]) - {tests[build // 50 % TESTS]}
                pairs: dict[tuple[int, int], int] = {}
                for blocker, waiter, chance, since in chronic:
                    if waiter in mine and at >= since and rng.random() < chance:
                        pairs[blocker, waiter] = rng.randrange(200, 9_000)
                for _ in range(rng.randrange(8)):
                    pairs[tests[int(TESTS * rng.random() ** 2)], rng.choice(tests[shard::SHARDS])] = (
                        rng.randrange(100, 2_000)
                    )
                blocked = {waiter for _, waiter in pairs}
                # Now and then a whole shard fails, for a reason of its own.
                broken = rng.random() < 0.002
                failed = {
                    test
                    for test in mine
                    if broken
                    or (test in flaky and rng.random() < flaky[test] * (6 if test in blocked else 1))
                }
                if failed:
                    again.append(shard)
                passed = mine - failed
                content = packed(passed)
                number = sets.setdefault(content, len(sets) + 1)
                rows["run_pairs"].extend(
                    (
                        run,
                        *pair,
                        build,
                        attempt,
                        ms,
                        1 + ms // 900,
                        ms * 2 // 3,
                        rng.choice(objects),
                        rng.choice(causes),
                    )
                    for pair, ms in pairs.items()
                )
                total = sum(pairs.values())
                rows["run_objects"].extend(
                    (run, one, mode, total // 3, 2, total // 5)
                    for one in rng.sample(objects, min(3, len(pairs)))
                )
                rows["run_causes"].extend(
                    (run, one, total // 2, 2, total // 5) for one in rng.sample(causes, min(2, len(pairs)))
                )
                leaks = {
                    (test, kinds[0], table, sure)
                    for test, table, chance in leaky
                    if test in mine and rng.random() < chance
                }
                rows["run_leaks"].extend((run, *leak, build, attempt, rng.randrange(1, 9)) for leak in leaks)
                rows["run_outcomes"].extend(
                    (
                        *(run, test, build, 1, 0, 250),
                        f"AssertionError: expected {rng.random()} of it",
                        test in blocked,
                    )
                    for test in failed
                )
                rows["run_outcomes"].extend(
                    (run, test, build, 0, 0, 250, "", test in blocked)
                    for test in passed & (blocked | {one[0] for one in leaks})
                )
                started = began + timedelta(hours=attempt - 1, seconds=shard)
                rows["runs"].append(
                    (
                        run,
                        digest("run", run),
                        build,
                        f"{run:08x}",
                        shards[shard],
                        attempt,
                        started,
                        started + timedelta(minutes=6),
                        int(bool(failed)),
                        None,
                        command,
                        machine,
                        account,
                        job,
                        "",
                        version,
                        server,
                        database,
                        server_version,
                        build,
                        360_000,
                        200,
                        total,
                        len(pairs),
                        3,
                        380,
                        len(passed),
                        len(failed),
                        2,
                        0,
                        number,
                        0,
                        len(leaks) * 4,
                        0,
                        0,
                        "[]",
                    )
                )
            failed_shards = again
    rows["test_sets"] = [(number, digest(content), content) for content, number in sets.items()]
    rows["strings"] = [(number, digest(text), text) for text, number in name.numbers.items()]
    assert empty == 1
    return rows


def _insert(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    if not is_postgresql(connection):
        places = ", ".join("?" * len(table.columns))
        driver.executemany(f"INSERT INTO {table.name} VALUES ({places})", map(_for_sqlite, rows))  # noqa: S608
        return
    assert isinstance(driver, PsycopgConnection)
    driver.execute("SET LOCAL statement_timeout = 0")
    name = sql.Identifier(SCHEMA, table.name)
    with driver.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
        for row in rows:
            copy.write_row(row)
    if table in _COUNTED:
        driver.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))").format(
                sql.Literal(f"{SCHEMA}.{table.name}"), name
            )
        )


def _for_sqlite(row: Sequence[object]) -> list[object]:
    return [f"{one:%Y-%m-%d %H:%M:%S.%f}" if isinstance(one, datetime) else one for one in row]
