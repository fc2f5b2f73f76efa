"""Sweeps of several databases and servers as one report: totals, what they have in common, a screen."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

from pgwatch_tests.reports.sweeps import sweep_csv, sweep_json, sweep_markdown, sweep_table
from pgwatch_tests.reports.sweeps.sweep_words import summary_of_databases
from pgwatch_tests.sweep.model import (
    AlsoReferring,
    NotSwept,
    SideEffects,
    SweepsOfDatabases,
    TableRows,
)
from tests.sweep.reports import ACTED, AT, FULL, NOTHING, several


def test_what_several_come_to() -> None:
    both = several(FULL, FULL, not_swept=(NotSwept("app", "not a test database"),))

    assert summary_of_databases(both) == (
        "2,408 rows to remove in 2 databases, besides 2 schemas, 2 prepared transactions; "
        "10 kept: too young (6), locked (2), of a run still alive (2); 1 database not swept; "
        "nothing was changed: add --yes"
    )
    assert summary_of_databases(several(ACTED)).startswith("3 rows deleted in 1 database, besides 1 schema")


def test_the_table_of_several_databases() -> None:
    text = sweep_table.table(several(FULL, not_swept=(NotSwept("b", "a standby"),)))

    assert re.search(r"^Database .*\n-.*\ntest_app +1,204 +2 +5 +too young\n\n", text)
    assert re.search(r"Not swept +Reason\n-.*\nb +a standby", text)
    assert re.search(r"\npublic.bookings +1,201 +1 +test_app\n", text)
    assert "\n1,204 rows to remove in 1 database, besides 1 schema, 1 prepared transaction; 5\n  kept" in text
    whole = sweep_table.table(several(FULL, replace(NOTHING, database="b")), verbose=True)
    assert f"\n\n== test_app ==\n\n{sweep_table.table(FULL)}\n\n1,204 rows" in whole
    assert "\nNothing to do in 1 database: b\nLooked in 2 databases (PostgreSQL 18.1) for" in whole


def test_what_databases_have_in_common_is_told_once() -> None:
    one = replace(
        FULL,
        planned=(TableRows("public", "notes", 1, 7, 5, 90),),
        side_effects=(SideEffects("public", "audit", 4, 0, 0),),
        in_spite_of_age=2,
        ended_runs=("5e6f7a8b",),
        also_refer=(AlsoReferring("public", "notes", 2, "public", "users"),),
        live_runs=("unit (ci@host)",),
        away_s=(1.5,),
    )

    text = sweep_table.table(several(*(replace(one, database=f"d{n}") for n in range(3))))

    text = text.replace("\n  ", " ")
    for sentence in (
        "of these 15 without a marker, in tables where others bear one: public.notes (15)",
        "6 rows of public.notes go though they also refer to real rows of public.users",
        "6 of these are younger than 10 min: the lease of their run (5e6f7a8b) has ended",
        "triggers wrote 12 rows of 1 table",
        "At work: unit (ci@host)",
        "Left the database 3 times, 4.5 s in all",
    ):
        assert text.count(sentence) == 1, (sentence, text)


def test_a_fleet_is_a_screen() -> None:
    servers = tuple(f"ci-{number}" for number in range(1, 6))
    reports = [
        replace(FULL if number % 3 else NOTHING, server=server, database=f"a_rather_long_name_{number}")
        for server in servers
        for number in range(40)
    ]
    left = (NotSwept("", "cannot connect (x): no answer", "ci-9", 3), NotSwept("app", "a standby", "ci-1"))
    sweeps = SweepsOfDatabases(AT, tuple(reports), left, 1.0, (*servers, "ci-9"))

    short, whole = sweep_table.table(sweeps).split("\n"), sweep_table.table(sweeps, verbose=True)

    assert len(short) <= 23
    assert max(map(len, short)) <= 80
    assert "… and 129 more databases" in short
    assert "ci-9         cannot connect (x): no answer" in short
    assert "156,520 rows to remove in 130 of 200 databases on 5 servers, besides 130" in short
    totals = [line.split() for line in whole.split("\n")]
    assert ["all", "6", "servers", "201", "2", "650", "260", "156,520"] in totals
    assert whole.count("\n== ci-") == 130
    document = json.loads(sweep_json.document(replace(sweeps, shard="2/8")))
    assert document["shard"] == "2/8"
    assert document["servers"][0] == {
        "server": "ci-1",
        "planned": 31304,
        "deleted": 0,
        "complete": False,
        "databases": 40,
        "not_swept": 1,
    }
    assert document["not_swept"][0] == {"server": "ci-9", "database": None, "reason": left[0].reason}
    assert document["databases"][0]["server"] == "ci-1"
    line = list(csv.DictReader(io.StringIO(sweep_csv.document(sweeps))))[-2]
    assert (line["server"], line["database"], line["status"]) == ("ci-9", "", "not swept")


def test_json_of_several_databases() -> None:
    both = several(FULL, ACTED, not_swept=(NotSwept("c", "gone"),))

    assert json.loads(sweep_json.document(both)) == {
        "schema": "pgwatch-tests.sweeps-of-databases/1",
        "started_at": "2026-01-02T03:04:05.000Z",
        "duration_s": 1.0,
        "complete": False,
        "planned": 2408,
        "deleted": 3,
        "databases": [json.loads(sweep_json.document(FULL)), json.loads(sweep_json.document(ACTED))],
        "not_swept": [{"database": "c", "reason": "gone"}],
    }
    assert json.loads(sweep_json.document(several(FULL)))["complete"] is True


def test_markdown_of_very_many_databases_is_cut() -> None:
    reports = [replace(NOTHING, database=f"d{number}") for number in range(40)] + [FULL]

    document = sweep_markdown.document(several(*reports))

    assert document.count("<details><summary>test_app: 1,204 rows of 2 tables, 1 schema") == 1
    assert "<summary>Nothing to do in 40 databases</summary>\n\n`d0, d1, " in document
    document = sweep_markdown.document(several(*(replace(FULL, database=f"d{n}") for n in range(40))))
    assert document.count("<details><summary>d") == 10
    assert "\n\n… and 30 more databases, with fewer rows.\n" in document
