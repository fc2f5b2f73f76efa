"""Table, Markdown and JSON of recorded runs: the worst first, on one screen, safe and complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from pgwatch_tests.record.merging.merged import RecordedRun, RunReport, merge
from pgwatch_tests.record.model import LeakEvent
from pgwatch_tests.record.run_summary import TestOutcome
from pgwatch_tests.reports.render.screenful import LINES, WIDTH
from pgwatch_tests.reports.runs import run_json, run_markdown, run_table, run_words
from pgwatch_tests.reports.runs.page import document as page
from tests.record.made_events import facts, run, server, side, wait
from tests.reports.runs.made_report import HOSTILE, hostile_report, killed_run, report, waits


def test_the_verdict_has_the_worst_first() -> None:
    assert run_words.verdict(report()).startswith(
        "1 hang told after 30 s; the command was ended by SIGKILL; 2 deadlocks; 1 min 52 s blocked in 60 "
    )
    assert run_words.verdict(report()).endswith(
        "; 22 rows left in 3 tables; 1 test schema left; not watched for 5.0 s; 1 thing not checked; "
        "1 not read."
    )


def test_the_verdict_says_nothing_of_what_nobody_checked() -> None:
    quiet = run(facts=facts())
    assert run_words.verdict(merge([quiet])) == "Nothing was blocked; leaks not checked."
    assert (
        run_words.verdict(merge([replace(quiet, leaks_checked=True)]))
        == "Nothing was blocked; nothing was left."
    )
    # Each insert of a suite moves sequences, whatever it cleans up.
    moved = replace(
        quiet, leaks_checked=True, leaks=(LeakEvent("sequence", "public.a_id_seq", 1, "", "unknown"),)
    )
    assert run_words.verdict(merge([moved])) == "Nothing was blocked; nothing was left."
    assert run_words.verdict(merge([])) == "Nothing could be read."
    bare = merge([RecordedRun("a", facts(), leaks_checked=True)])
    assert run_words.verdict(bare) == "Nothing was left; waits not recorded."
    for text in (run_table.table(bare), run_markdown.document(bare), page.document(bare)):
        assert "Nothing was recorded" in text
        assert "othing was blocked" not in text
    failed = run(facts=facts(exit_code=1))
    assert run_words.verdict(merge([failed])).startswith("The command exited with 1; nothing was blocked")
    killed = replace(run(facts=replace(facts("2/4"), ended=None, exit_code=None)), ending="killed")
    assert run_words.verdict(merge([killed])).startswith("The run was killed after 2026-03-04 05:07:47 UTC; ")
    both = merge([killed, run("other", [wait(1, 2.5)], facts=facts("1/4", exit_code=3, pid=8))])
    assert run_words.verdict(both).startswith(
        "1 of 2 runs didn't come to an end (2/4); 1 of 2 runs failed; 2.5 s blocked in 1 wait: "
    )


def several_servers() -> RunReport:
    """Forty recordings of four servers."""
    return merge(
        run(
            f"pgwatch-results/{number}-of-40/recording.pgwatch",
            [replace(one, waited_s=one.waited_s + number / 10) for one in waits(5)],
            servers=[server(started=-10.0 * (number % 4), system=str(number % 4))],
            facts=facts(f"{number}/40", pid=number),
        )
        for number in range(40)
    )


def killed() -> RunReport:
    """A run that was killed, and of which nothing else is to be told."""
    return merge([replace(killed_run(3), hangs=(), deadlocks=(), leaks=(), not_checked=())])


@pytest.mark.parametrize("made", [report, hostile_report, several_servers, killed, lambda: merge([])])
def test_the_table_fits_on_a_screen(made: Callable[[], RunReport]) -> None:
    lines = run_table.table(made()).split("\n")
    assert lines[0].startswith(run_words.verdict(made())[:10])
    assert len(lines) <= LINES, "\n".join(lines)
    # A single word may be longer than a line.
    assert all(len(line) <= WIDTH or " " not in line.strip()[:60] for line in lines), "\n".join(lines)


def test_the_table_tells_where_a_killed_suite_was() -> None:
    text = " ".join(run_table.table(killed()).split())
    assert "tests/test_a.py::test_one: active, waited 12 s for row of users (id=7), behind" in text


def test_with_top_the_table_is_as_long_as_it_is() -> None:
    text = run_table.table(report(), top=3)
    assert "and 9 more; --format json has all" in text
    assert text.count("tests/test_payments.py::test_blocks_") >= 3
    assert "UPDATE bookings SET state = 'paid'" in text
    assert "→ Lock the rows in one order" in text
    assert "Last poll of pgwatch-results/recording.pgwatch, 2026-03-04 05:07:46 UTC" in text


def test_markdown_is_small_and_nothing_in_it_is_markup() -> None:
    text = run_markdown.document(report())
    assert text.startswith("## 1 hang told after 30 s; the command was ended by SIGKILL; ")
    assert len(text.splitlines()) < 110
    assert "… and 7 more pairs." in text
    assert "- 05:06:37.0 `gw3 tests/test_a.py::test_one` waits for" in text

    html = MarkdownIt("gfm-like").render(run_markdown.document(hostile_report(), top=100))
    for forbidden in ("<script", "<img", "<svg", "<a ", "<strong", "evil.example</a>"):
        assert forbidden not in html
    assert html.count("<table>") == html.count("</table>")
    assert html.count("<details>") == html.count("</details>")


def test_markdown_that_would_be_too_large_has_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_markdown.MOST_BYTES < 1024 * 1024  # beyond, GitHub drops all of it
    monkeypatch.setattr(run_markdown, "MOST_BYTES", 60_000)
    leaks = [LeakEvent("rows", f"public.{'x' * 60}{number}", 1, "", "unknown") for number in range(1_000)]
    huge = run_markdown.document(merge([replace(killed_run(3), leaks=tuple(leaks))]), top=100_000)
    assert 30_000 < len(huge.encode()) <= 60_000
    assert " more findings." in huge
    assert "The server's log could not be read" in huge


def test_failed_tests_are_told_with_what_they_waited_for() -> None:
    waiter, blocker = side(11, "t.py::test_fails"), side(12, "t.py::test_blocks")
    outcomes = (
        TestOutcome("t.py::test_is_flaky", "passed", 1.0, "", 2),
        TestOutcome("t.py::test_fails", "failed", 4.0, "lock timeout | <b>"),
        TestOutcome("t.py::test_passes", "passed", 0.1),
        TestOutcome("t.py::test_skipped", "skipped", None),
    )
    one = replace(run("a", [wait(1, 2.5, waiter, blocker)], facts=facts(exit_code=1)), outcomes=outcomes)
    whole = merge([one])

    assert "; 2 tests failed or flaky, 1 of them blocked meanwhile; " in run_words.verdict(whole)
    text = run_markdown.document(whole)
    assert "| `t.py::test_fails` | failed | 2.5s | `t.py::test_blocks` |" in text
    assert "| `t.py::test_is_flaky` | flaky: 2 attempts failed |  |  |" in text
    assert "test_passes" not in text
    assert "lock timeout | &lt;b&gt;" in page.document(whole)
    assert len(json.loads(run_json.document(whole))["runs"][0]["outcomes"]) == 4


def test_json_is_complete() -> None:
    document = json.loads(run_json.document(report()))
    assert document["schema"] == "pgwatch-tests.report/1"
    assert document["verdict"] == run_words.verdict(report(), str)
    [of_server] = document["servers"]
    assert of_server["runs"] == [0]
    assert len(of_server["waits"]) == 60
    assert sum(one["blocked_s"] for one in of_server["pairs"]) == pytest.approx(of_server["blocked_s"])
    assert of_server["waits"][0]["began"] == "2026-03-04T05:06:09.000000Z"
    assert [one["source"] for one in of_server["deadlocks"]] == ["polls", "server log"]
    assert of_server["gaps"] == [
        {"since": "2026-03-04T05:06:57.000000Z", "until": "2026-03-04T05:07:02.000000Z", "duration_s": 5.0}
    ]
    assert document["runs"][0]["facts"]["signal"] == 9
    assert document["runs"][0]["last"]["sessions"][0]["waits_for"] == "row of users (id=7)"
    assert document["unreadable"] == [{"name": "pgwatch-results/3-of-4", "reason": "no recording in it"}]

    hostile = json.loads(run_json.document(hostile_report()))
    assert {one["reason"] for one in hostile["unreadable"]} == set(HOSTILE)
