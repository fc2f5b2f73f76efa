"""The gate of a run: its words, and its verdict on what was seen, and on what wasn't."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks.model import LeakReport, Leftover, TableLeak
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.run.checks.fail_on import Evidence, judge, parse
from tests.record.made_events import deadlock, side, wait

_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_CLEAN = LeakReport(
    _NOW, "18.1", "app_test", ("test email",), 3, (), (), 0.1, kinds_checked=("schema", "idle_in_transaction")
)
_LEAKY = replace(_CLEAN, tables=(TableLeak("public", "users", "table", ("email",), 3),))
_SCHEMA = replace(_CLEAN, leftovers=(Leftover("schema", "test_1"),))
_DEADLOCK = deadlock(1.0, side(11), side(12))
_SEEN = Evidence(waits=(wait(0.0, 1.5),), hangs=(), leaks=_CLEAN)


@pytest.mark.parametrize(
    ("words", "known", "verdict", "kinds"),
    [
        ("rows", Evidence(leaks=_LEAKY), "findings", ["rows"]),
        ("rows,schemas", Evidence(leaks=_SCHEMA), "findings", ["schema"]),
        ("schemas", Evidence(leaks=_LEAKY), "clean", []),
        ("rows", Evidence(), "incomplete", []),
        ("rows", Evidence(leaks=_LEAKY, leaks_may_be_older=True), "incomplete", []),
        ("rows", Evidence(leaks=_CLEAN, leaks_may_be_older=True), "clean", []),
        ("prepared_transactions", Evidence(leaks=_CLEAN), "incomplete", []),
        ("blocked", _SEEN, "findings", ["blocked"]),
        ("blocked=2s", _SEEN, "clean", []),
        ("blocked=2s", Evidence(), "incomplete", []),
        ("blocked=2s", replace(_SEEN, unwatched_s=3.0), "incomplete", []),
        ("blocked=1s", replace(_SEEN, unwatched_s=3.0), "findings", ["blocked"]),
        ("deadlock", replace(_SEEN, recording_trouble="it was killed"), "incomplete", []),
        (
            "deadlocks",
            replace(_SEEN, deadlocks=(_DEADLOCK,)),
            "findings",
            ["deadlock"],
        ),
        ("deadlock", _SEEN, "clean", []),
        ("hang", replace(_SEEN, hangs=(Hang(_NOW, 5.0, "tree"),)), "findings", ["hang"]),
        ("hang", Evidence(), "incomplete", []),
    ],
)
def test_findings_win_over_what_is_missing(
    words: str, known: Evidence, verdict: Verdict, kinds: list[str]
) -> None:
    judged = judge(parse(words), known)
    assert (judged.verdict, [one.kind for one in judged.findings]) == (verdict, kinds)
    assert bool(judged.missing) == (verdict == "incomplete" or known.unwatched_s > 0)


@pytest.mark.parametrize("words", ["", "rows=2", "block", "blocked=soon", "deadlock=1s", "rows,nothing"])
def test_words_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"names no kind|unknown kind|isn't a duration"):
        parse(words)


def test_all_is_everything() -> None:
    everything = parse("all")
    assert (everything.blocked_s, everything.deadlock, everything.hang) == (1.0, True, True)
    assert "rows" in everything.leaks.fail_on
    assert parse("blocked=3s,all").blocked_s == 3.0


def test_waits_of_the_same_two_are_one_finding() -> None:
    [wait] = _SEEN.waits or ()
    longer = replace(wait, number=wait.number + 1, waited_s=wait.waited_s + 1)
    elsewhere = replace(wait, number=wait.number + 2, target="table seats")
    told = judge(parse("blocked"), replace(_SEEN, waits=(wait, longer, elsewhere))).findings
    assert len(told) == 2
    assert told[0].text.endswith(f"{wait.target}, the longest of 2 waits")
    assert told[1].text.endswith("table seats")
