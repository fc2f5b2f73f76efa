"""What `history` prints, from values: the texts need no database."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgwatch_tests.history.runs.model import TestEvent
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.reports.runs_over_time import run_list, trend_json, trend_text
from tests.history.histories import settings
from tests.history.runs.summaries import NOW, deadlock, facts, leak, outcome, pair, summary

A, B = "t.py::test_a[x|y]", "t.py::test_b\u202e"


def store(tmp_path: Path) -> RunStore:
    """A history of three builds, of which the last two have a bit of all."""
    runs = RunStore.open(settings(tmp_path / "h.sqlite3"))
    runs.add(summary(facts(990), tests=[outcome(A), outcome(B)]))
    trouble = [pair(A, B, 4.0, 2)], [leak(A), leak("", 1, "schema", "test_1_2")]
    ended = [outcome(B, "failed"), outcome(A)]
    runs.add(summary(facts(991, ci_run="7", shard="1/2", exit_code=1), *trouble, ended, [deadlock(A, B)]))
    runs.add(summary(facts(991, ci_run="7", shard="1/2", attempt=2), *trouble, [outcome(B), outcome(A)]))
    runs.add(summary(replace(facts(992), exit_code=None, ended=None), *trouble))
    return runs


def test_the_list_of_runs(tmp_path: Path) -> None:
    runs = store(tmp_path).runs()
    lines = run_list.text(runs, "/h").splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in lines[2:6]]
    assert [row[1:-3] for row in cells] == [
        ["no end known", "4.0s", "3 rows, 1 leftover"],
        ["passed", "5m00s", "2 passed", "4.0s", "3 rows, 1 leftover"],
        ["exit 1, 1 deadlock", "5m00s", "1 passed, 1 failed", "4.0s", "3 rows, 1 leftover"],
        ["passed", "5m00s", "2 passed", "nothing"],
    ]
    assert [row[-1] for row in cells] == ["000003e0", "000003df 1/2, attempt 2", "000003df 1/2", "000003de"]
    assert lines[-1] == "The history is in /h"
    assert run_list.text((), "/h").startswith("No run is on record yet.")
    killed = replace(runs[0], signal=9, exit_code=137, watched_s=0.0)
    assert "| ended by SIGKILL |" in run_list.text([killed], "/h", "markdown")
    assert "not watched" in run_list.text([killed], "/h")

    document = json.loads(run_list.document(runs, "/h"))
    assert document["schema"] == "pgwatch-tests.history/1"
    assert (document["runs"][2]["attempt"], document["runs"][2]["failed"]) == (1, 1)
    assert document["runs"][0]["ended"] is None


def test_trends_in_words(tmp_path: Path) -> None:
    trends = store(tmp_path).trends(NOW - timedelta(days=30))
    text = trend_text.text(trends, "/h")
    assert "3 builds in 4 runs, 3 watched, outcomes of tests known of 2." in text
    first = f"first seen on main in {facts(991).commit[:12]} ({facts(991).began:%Y-%m-%d %H:%M:%S})"
    assert f"1: {first}, and not in 1 build before it (the waiting test ran in 1); last in " in text
    assert "t.py::test_b\\u202e" in text
    assert "left 9 rows in public.users" in text
    assert "left 3 test schemas test_1_2" in text
    assert "doesn't prove" in text

    markdown = trend_text.text(trends, "/h", "markdown")
    assert "| `t.py::test_a[x\\|y]` | `t.py::test_b\\u202e` |" in markdown
    document = json.loads(trend_json.document(trends, "/h"))
    assert document["schema"] == "pgwatch-tests.trend/1"
    assert (document["test"], document["pairs"][0]["waiter"], document["events"]) == (None, B, [])


def test_a_repository_is_told_where_there_are_several_and_it_is_known(tmp_path: Path) -> None:
    runs = RunStore.open(settings(tmp_path / "h.sqlite3"))
    for number, repository in ((990, "acme/shop"), (991, "acme/shop"), (992, ""), (993, "")):
        runs.add(summary(facts(number, repository=repository), [pair("t.py::test_c", "t.py::test_d")]))
    text = trend_text.text(runs.trends(NOW - timedelta(days=30)), "/h", "markdown")
    assert "| `t.py::test_c` (`acme/shop`) | `t.py::test_d` |" in text
    assert "| `t.py::test_c` | `t.py::test_d` |" in text


def test_nothing_to_tell(tmp_path: Path) -> None:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    runs = RunStore.open(settings(tmp_path / "h.sqlite3"))
    assert trend_text.text(runs.trends(since), "/h").startswith("No run since 2026-01-02 is on record.")
    runs.add(summary(facts(1)))
    assert "Nothing came again" in trend_text.text(runs.trends(since), "/h")
    assert trend_text.events_text(()) == ""


def test_what_happened_to_a_test(tmp_path: Path) -> None:
    events = store(tmp_path).events("test_b", NOW - timedelta(days=30))
    assert [(one.kind, one.attempt, one.other, one.amount) for one in events] == [
        ("blocked by", 1, A, 4.0),
        ("blocked by", 2, A, 4.0),
        ("failed", 1, "", 0.0),
        ("blocked by", 1, A, 4.0),
    ]
    text = trend_text.events_text(events)
    assert "failed: it was late" in text
    assert "was blocked 4.0 s by t.py::test_a[x|y]: rows of bookings" in text
    left = replace(events[0], kind="left", other="rows", object="public.users", amount=3.0)
    other = replace(events[0], kind="blocked", object="", amount=65.0)
    flaky: TestEvent = replace(events[2], kind="flaky", message="")
    text = trend_text.events_text([left, other, flaky])
    assert "left 3 rows in public.users" in text
    assert "blocked 1 min 5 s t.py::test_a" in text
    assert "failed, then passed" in text
