"""Rows of the baseline that are gone or changed are told, and none that is there as it was."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.baseline import baseline_file, content_reader
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import LeftoverKind
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.leaks.statements import row_content
from tests.leaks.baseline.baseline_content import COUNTRIES, compared, kept, lost
from tests.leaks.baseline.baselines import run, use
from tests.leaks.scanning import settings
from tests.servers.sessions import Database


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of more than five rows are large."""
    for module in (row_content, content_reader):
        monkeypatch.setattr(module, "MOST_ROWS", 5)


def test_rows_that_are_gone_and_one_that_changed(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    assert lost(database, baseline) == {}

    run(
        database,
        "DELETE FROM countries WHERE code IN ('c1', 'c2', 'c3')",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c42'",
        "INSERT INTO countries VALUES ('new')",
    )

    assert lost(database, baseline) == {
        "public.countries": "3 of 250 rows are gone, 1 changed (such as code=c42)"
    }


def test_one_truncate(database: Database) -> None:
    run(database, *COUNTRIES, "CREATE TABLE one (i int PRIMARY KEY)", "INSERT INTO one VALUES (1)")
    baseline = kept(database)
    run(database, "TRUNCATE countries, one")

    assert lost(database, baseline) == {
        "public.countries": "all 250 rows are gone",
        "public.one": "its only row is gone",
    }
    run(database, COUNTRIES[1], "INSERT INTO one VALUES (2)")
    assert lost(database, baseline) == {"public.one": "its only row is gone"}


def test_what_was_written_as_it_was_is_no_change(database: Database) -> None:
    run(database, *COUNTRIES, "CREATE TABLE bare AS SELECT i FROM generate_series(1, 20) AS i")
    baseline = kept(database)
    run(
        database,
        "UPDATE countries SET name = name",
        "DELETE FROM bare WHERE i = 7",
        "INSERT INTO bare VALUES (7), (8), (7)",
        "VACUUM FULL countries",
    )

    assert lost(database, baseline) == {}


def test_a_table_without_a_key(database: Database) -> None:
    run(
        database,
        "CREATE TABLE bare (i int, s text)",
        "INSERT INTO bare SELECT i % 4, 'x' FROM generate_series(1, 20) AS i",
    )
    baseline = kept(database)

    run(
        database,
        "DELETE FROM bare WHERE ctid IN (SELECT ctid FROM bare WHERE i = 1 LIMIT 2)",
        "UPDATE bare SET s = 'y' WHERE ctid = (SELECT ctid FROM bare WHERE i = 2 LIMIT 1)",
        "INSERT INTO bare VALUES (9, 'new')",
    )

    assert lost(database, baseline) == {"public.bare": "3 of 20 rows are gone or changed"}


@pytest.mark.usefixtures("few")
def test_a_table_too_large_to_know_its_rows(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    (content,) = baseline.content or ()
    assert (content.rows, content.hashes) == (250, None)
    assert lost(database, baseline) == {}

    run(database, "INSERT INTO countries VALUES ('new')", "UPDATE countries SET name = 'Y' WHERE code = 'c7'")
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is gone or changed"}
    run(
        database,
        "UPDATE countries SET name = 'Country 7' WHERE code = 'c7'",
        "DELETE FROM countries WHERE code = 'new'",
    )
    assert lost(database, baseline) == {}
    run(database, "TRUNCATE countries", "INSERT INTO countries VALUES ('new')")
    assert lost(database, baseline) == {"public.countries": "at least 249 of 250 rows are gone"}
    run(database, COUNTRIES[1])
    (unchecked,) = compared(database, baseline).unchecked
    assert unchecked.reason == "public.countries: rewritten since, and its rows can't be told apart"
    run(database, "DELETE FROM countries WHERE code = 'new'")
    assert lost(database, baseline) == {}


def test_columns_that_came_went_or_changed(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)

    run(
        database,
        "ALTER TABLE countries ADD COLUMN first int DEFAULT 1",
        "ALTER TABLE countries ADD COLUMN clock timestamptz DEFAULT clock_timestamp()",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c42'",
    )
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is changed (such as code=c42)"}
    run(database, "ALTER TABLE countries ALTER size TYPE numeric", "DELETE FROM countries WHERE code = 'c9'")
    report = compared(database, baseline)

    assert [one.detail for one in report.leftovers] == ["1 of 250 rows is gone"]
    (unchecked,) = report.unchecked
    assert (
        unchecked.reason
        == "public.countries: its columns changed, so lost rows can be counted but not changed ones"
    )


def test_tables_that_are_gone_renamed_or_made_anew(database: Database) -> None:
    run(database, "CREATE TABLE nine AS SELECT i, 'x'::text AS s FROM generate_series(1, 9) AS i")
    for name in ("dropped", "renamed", "anew", "partly"):
        run(
            database,
            f"CREATE TABLE {name} AS TABLE nine",
            f"ALTER TABLE {name} ADD PRIMARY KEY (i)",
        )
    run(database, "CREATE TABLE empty (i int)")
    baseline = kept(database)
    for name in ("anew", "partly"):
        run(database, f"DROP TABLE {name}; CREATE TABLE {name} (i int PRIMARY KEY, s text)")
    run(
        database,
        "DROP TABLE dropped; DROP TABLE empty",
        "ALTER TABLE renamed RENAME TO other",
        "DELETE FROM other WHERE i = 1",
        "INSERT INTO anew SELECT i, 'x' FROM generate_series(0, 20) AS i",
        "INSERT INTO partly SELECT i, 'x' FROM generate_series(4, 20) AS i",
    )

    assert lost(database, baseline) == {
        "public.dropped": "all 9 rows are gone: the table was dropped",
        "public.partly": "3 of 9 rows are gone",
        "public.renamed": "1 of 9 rows is gone",
    }


def test_a_key_that_is_none_any_more(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    run(
        database,
        "ALTER TABLE countries DROP CONSTRAINT countries_pkey",
        "INSERT INTO countries TABLE countries",
        "INSERT INTO countries SELECT 'c1', 'Other' FROM generate_series(1, 9)",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c2'",
    )

    # One of those with the key is as it was.
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is changed (such as code=c2)"}


def test_partitions_are_read_through_their_root(database: Database) -> None:
    run(
        database,
        "CREATE TABLE root (i int PRIMARY KEY, s text) PARTITION BY RANGE (i)",
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (5) TO (10)",
        "INSERT INTO root SELECT i, 'x' FROM generate_series(0, 9) AS i",
        "CREATE TABLE base (i int PRIMARY KEY)",
        "CREATE TABLE heir () INHERITS (base)",
        "INSERT INTO base VALUES (1); INSERT INTO heir VALUES (2)",
    )
    baseline = kept(database)
    run(
        database,
        "ALTER TABLE root DETACH PARTITION high",
        "UPDATE root SET s = 'y' WHERE i = 3",
        "DELETE FROM heir",
    )

    assert lost(database, baseline) == {
        "public.root": "5 of 10 rows are gone, 1 changed (such as i=3)",
        "public.heir": "its only row is gone or changed",
    }


def test_what_is_ignored(database: Database) -> None:
    run(
        database,
        *COUNTRIES,
        "CREATE SCHEMA audit CREATE TABLE log (i int)",
        "INSERT INTO audit.log VALUES (1)",
    )
    everything, without = kept(database), kept(database, "audit", "public.countries.name")
    assert [one.table for one in without.content or ()] == ["countries"]
    run(database, "UPDATE countries SET name = 'Changed'", "TRUNCATE audit.log")

    assert lost(database, without) == {}
    assert lost(database, everything, "audit", "public.countries") == {}
    assert set(lost(database, everything)) == {"public.countries", "audit.log"}


def test_schemas_of_tests_are_their_own(database: Database) -> None:
    run(
        database,
        "CREATE SCHEMA test_living CREATE TABLE t (i serial PRIMARY KEY) CREATE VIEW v AS SELECT 1 AS i",
        "INSERT INTO test_living.t VALUES (1)",
    )
    baseline = kept(database)
    assert baseline.content == ()
    kinds: tuple[LeftoverKind, ...] = ("object", "sequence", "lost_rows")
    for statement in ("SELECT nextval('test_living.t_i_seq')", "DROP SCHEMA test_living CASCADE"):
        run(database, statement)

        report = scan(settings(database.dsn), kinds=kinds, since=Since(baseline))

        assert (report.leftovers, report.unchecked, use(report).gone) == ((), (), ())


def test_through_a_file_and_not_once_it_is_damaged(database: Database, tmp_path: Path) -> None:
    run(database, *COUNTRIES, "CREATE TABLE bare AS SELECT 1 AS i")
    baseline = kept(database)
    path = tmp_path / "baseline.json"
    baseline_file.save(baseline, path)

    loaded = baseline_file.load(path)

    assert loaded == baseline
    run(database, "DELETE FROM countries WHERE code = 'c1'", "TRUNCATE bare")
    assert lost(database, loaded) == {
        "public.countries": "1 of 250 rows is gone",
        "public.bare": "its only row is gone or changed",
    }
    contents = [replace(one, rows=one.rows + 1) for one in baseline.content or ()]
    baseline_file.save(replace(baseline, content=tuple(contents)), path)
    with pytest.raises(ConfigurationError, match="isn't a baseline"):
        baseline_file.load(path)


def test_a_baseline_without_content_says_so(database: Database) -> None:
    baseline = take(settings(database.dsn))

    (unchecked,) = compared(database, baseline).unchecked

    assert (unchecked.reason, unchecked.hint) == (
        "this baseline doesn't hold the content of tables",
        "`pgwatch-tests baseline --content` keeps it",
    )


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_random_changes_are_counted_as_they_were(database: Database, key: str) -> None:
    chance = random.Random(f"lost rows {key}")
    rows = {number: chance.choice("abc") for number in range(60)}
    run(database, f"CREATE TABLE t (i int {key}, s text)")
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", list(rows.items()))
        baseline = kept(database)
        now = dict(rows)
        for _ in range(5):
            for number in chance.sample(range(80), 6):
                connection.execute("DELETE FROM t WHERE i = %s", [number])
                now.pop(number, None)
                if chance.random() < 0.6:
                    now[number] = chance.choice("abc")
                    connection.execute("INSERT INTO t VALUES (%s, %s)", [number, now[number]])
            gone = len(rows.keys() - now.keys())
            changed = sum(now[number] != value for number, value in rows.items() if number in now)

            found = lost(database, baseline).get("public.t", "")

            if key:
                assert found.startswith(
                    f"{gone} of 60 rows {'is' if gone == 1 else 'are'} gone, {changed} changed"
                )
            else:
                assert found == f"{gone + changed} of 60 rows are gone or changed"


def test_the_report_names_what_was_dropped_besides(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    run(database, "DROP TABLE countries")

    assert use(compared(database, baseline)).dropped == ("public.countries",)
