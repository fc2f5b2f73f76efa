"""The ladder, against histories that hypothesis makes up: nobody is named for what others left."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.leaks.attribution.ladder import (
    MOST_NAMED,
    AttributionLadder,
    RowOrigin,
    RowVerdict,
    attribution,
)
from pgwatch_tests.leaks.attribution.test_runs import Written
from tests.examples import examples
from tests.leaks.attribution.test_ladder import (
    BEGIN,
    BOOKINGS,
    SECOND,
    USERS,
    ladder,
    run,
    stamp,
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[AttributionLadder, list[tuple[str, RowOrigin]]]:
    """Tests that ran at once, rows that they inserted and that any test may have updated; true creators."""
    count = draw(st.integers(1, 7))
    begins = [draw(st.integers(0, 20)) for _ in range(count)]
    ends = [begin + draw(st.integers(1, 6)) for begin in begins]
    moments: list[tuple[float, int, list[tuple[int, str]]]] = []
    for test in range(count):
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.floats(begins[test] + 0.1, ends[test] - 0.1))
            actions = draw(
                st.lists(
                    st.tuples(st.sampled_from([USERS, BOOKINGS]), st.sampled_from(["insert", "update"])),
                    max_size=4,
                )
            )
            moments.append((at, test, actions))
    written: dict[int, list[Written]] = {test: [] for test in range(count)}
    rows: list[tuple[str, RowOrigin]] = []
    commits: dict[str, int] = {}
    for number, (at, test, actions) in enumerate(sorted(moments)):
        xid = 1000 + 10 * number
        start = BEGIN + round(at * SECOND)
        commit = start + 1000 + number
        logged = draw(st.booleans())
        inserted, changed = set(), set()
        for table, action in actions:
            # Inside of a savepoint, or not.
            writer = xid + draw(st.integers(0, 3))
            theirs = [i for i, (_, row) in enumerate(rows) if row.table_oid == table]
            if action == "insert":
                tokens = draw(st.sampled_from([(), (stamp(at),), (f"{stamp(at)}-{token(f't{test}')}",)]))
                created = draw(st.sampled_from([None, start]))
                rows.append((f"t{test}", RowOrigin(table, tokens, created, writer, commit)))
                inserted.add(table)
            elif theirs:
                chosen = draw(st.sampled_from(theirs))
                owner, row = rows[chosen]
                rows[chosen] = owner, replace(row, xid=writer, committed_us=commit)
                changed.add(table)
        if logged:
            written[test].append(Written(xid, start, frozenset(inserted), frozenset(changed)))
            commits[f"x{xid}"] = commit
    runs = [run(f"t{t}", begins[t], ends[t], *written[t]) for t in range(count)]
    has_commit_times = draw(st.booleans())
    if not has_commit_times:
        rows = [(owner, replace(row, committed_us=None)) for owner, row in rows]
    return ladder(*runs, **(commits if has_commit_times else {})), rows


@settings(deadline=None, max_examples=examples(200))
@given(histories())
def test_nobody_is_named_for_what_others_left(
    history: tuple[AttributionLadder, list[tuple[str, RowOrigin]]],
) -> None:
    judging, rows = history
    for owner, row in rows:
        verdict = judging.judge(row)
        assert not verdict.tests or owner in verdict.tests
        assert len(verdict.tests) <= MOST_NAMED
        assert (verdict.confidence == "unknown") == (not verdict.tests) == bool(verdict.detail)
        assert verdict.confidence == "1 of N" or len(verdict.tests) <= 1


@given(
    st.lists(st.sampled_from([RowVerdict("marker", ("a",)), RowVerdict("unknown", (), "why")])),
    st.integers(0, 9),
)
def test_rows_add_up(verdicts: list[RowVerdict], unseen: int) -> None:
    total = len(verdicts) + unseen

    found = attribution(verdicts, total, "not looked at")

    assert sum(one.rows for one in found) == total
    assert all(one.rows > 0 for one in found)
    assert sum(one.rows for one in found if one.detail == "not looked at") == unseen
