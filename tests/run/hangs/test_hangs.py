"""Which waits are told as a hang, how often, and what quiet is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.run.guards import HangLimit, parse_limit
from pgwatch_tests.run.hangs.hangs import HangWatch
from tests.locks.snapshots import edge, session, snapshot


def told(watch: HangWatch, seen: LockSnapshot, now_s: float) -> list[str]:
    return [one.text.splitlines()[0] for one in watch.look(seen, now_s)[0]]


def test_limit_is_a_duration_and_perhaps_what_to_do() -> None:
    assert parse_limit("30s") == HangLimit(30.0)
    assert parse_limit("2m=end") == HangLimit(120.0, ends_root=True)
    for wrong in ("", "end", "30s=", "30s=kill", "0", "-5s"):
        with pytest.raises(ValueError, match="duration"):
            parse_limit(wrong)


def test_hang_is_told_once_and_again_after_growing_pauses() -> None:
    watch = HangWatch(5.0)
    times = []
    for second in range(60):
        seen = snapshot((edge(2, 1, wait_s=float(second)),), after_s=second)
        if lines := told(watch, seen, 100.0 + second):
            times.append((second, lines[0].partition(":")[0]))
    assert times == [(5, "hang"), (10, "still hanging"), (20, "still hanging"), (40, "still hanging")]


def test_another_root_is_another_hang() -> None:
    watch = HangWatch(5.0)
    assert told(watch, snapshot((edge(2, 1, wait_s=6.0),)), 0.0) == [
        "hang: blocked for 6.0 s behind test_1 (gw1, pid 1)"
    ]
    assert told(watch, snapshot((edge(2, 1, wait_s=7.0),)), 1.0) == []
    assert told(watch, snapshot((edge(2, 3, wait_s=8.0),)), 2.0) == [
        "hang: blocked for 8.0 s behind test_3 (gw3, pid 3)"
    ]
    # The same pid of another session, too.
    again = snapshot((edge(2, 3, wait_s=9.0),), (replace(session(3), backend_start=None),))
    assert len(told(watch, again, 3.0)) == 1


def test_tree_has_the_root_its_statement_and_advice() -> None:
    root = session(1, state="idle in transaction", query="UPDATE users SET\x1b[2J name = 'a'")
    [one] = HangWatch(5.0).look(snapshot((edge(2, 1, wait_s=6.0), edge(3, 1, wait_s=1.0)), (root,)), 0.0)[0]
    assert one.roots == (Party(1),)
    assert "blocks 2 (2 directly)" in one.text
    assert "→" in one.text
    assert "last query: UPDATE users SET" in one.text
    assert "\x1b" not in one.text


def test_server_that_tells_no_wait_times_is_watched_by_our_clock() -> None:
    watch = HangWatch(5.0)
    seen = snapshot((edge(2, 1, wait_s=None),))
    assert told(watch, seen, 0.0) == []
    assert told(watch, seen, 4.9) == []
    assert len(told(watch, seen, 5.0)) == 1


def test_waits_of_others_on_the_server_do_not_count() -> None:
    elsewhere = replace(session(2), database="another")
    seen = snapshot((edge(2, 1, wait_s=9.0),), (elsewhere,))
    assert told(HangWatch(5.0), seen, 0.0) == []
    ours = HangWatch(5.0, lambda one: one.pid == 2)
    assert len(told(ours, seen, 0.0)) == 1
    worker = replace(session(2), backend_type="autovacuum worker")
    assert told(HangWatch(5.0), snapshot((edge(2, 1, wait_s=9.0),), (worker,)), 0.0) == []


def test_quiet_is_told_once_somebody_has_been_there() -> None:
    watch = HangWatch(5.0)
    nobody = snapshot(())
    assert told(watch, nobody, 0.0) == []
    assert told(watch, nobody, 100.0) == []
    at_work = session(1)
    assert told(watch, snapshot((), (at_work,)), 101.0) == []
    assert not watch.is_quiet
    idle = replace(session(1, state="idle in transaction", query="SELECT 1"), state_age_s=4.0)
    assert told(watch, snapshot((), (idle,)), 105.0) == []
    [one] = watch.look(snapshot((), (replace(idle, state_age_s=5.5),)), 106.5)[0]
    assert one.roots == ()
    assert one.text.splitlines() == [
        "quiet: the command runs, and for 5.5 s no session in database test_app has done anything; "
        "nothing is blocked",
        "pid 1  gw1 tests/test_app.py::test_1  idle in transaction for 5.5 s",
        "│  last query: SELECT 1",
    ]
    assert told(watch, snapshot(()), 108.0) == []
    assert watch.is_quiet
    [again] = watch.look(snapshot(()), 112.0)[0]
    assert again.text.endswith(
        "none is connected; the last one seen was gw1 tests/test_app.py::test_1 (pid 1)"
    )
    assert not again.is_new
    # Whoever works again begins anew.
    assert told(watch, snapshot((), (at_work,)), 130.0) == []
    assert not watch.is_quiet
    assert told(watch, snapshot(()), 134.9) == []
    assert told(watch, snapshot(()), 135.1)[0].startswith("quiet:")


def test_quiet_takes_no_account_of_what_it_cannot_see() -> None:
    hidden = replace(session(1, hidden=True), state=None, state_age_s=None)
    watch = HangWatch(5.0)
    told(watch, snapshot((), (session(2),)), 0.0)
    assert told(watch, snapshot((), (hidden,)), 50.0) == []
    in_copy = replace(session(1), wait_event_type="Client", state_age_s=9.0)
    assert told(watch, snapshot((), (in_copy,)), 60.0)[0].startswith("quiet:")
