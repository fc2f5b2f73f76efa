"""The folded tree: every waiter is shown or counted once, keys and folds last, the selected row stays."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot, LockTag, Party
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.folded_tree import (
    FIRST_SHOWN,
    FOLDS_FROM,
    FoldedRow,
    Queue,
    folded_rows,
    key_of,
    switches_that_show,
)
from pgwatch_tests.tui.tabs.lock_rows import LockRows
from tests.locks.snapshots import edge, snapshot

TARGETS = ("row of t (id=1)", "table t", "advisory lock 7")


@st.composite
def edges(draw: st.DrawFn) -> tuple[Edge, ...]:
    """A few blockers with long queues, chains, and deadlocks between them."""
    found: dict[tuple[int, int], Edge] = {}
    for _ in range(draw(st.integers(0, 6))):
        blocker = draw(st.integers(1, 40))
        target = draw(st.sampled_from(TARGETS))
        waiters = draw(st.integers(1, 40)), draw(st.integers(0, 12))
        for waiter in range(waiters[0], min(41, waiters[0] + waiters[1])):
            if waiter != blocker:
                wait_s = draw(st.sampled_from([0.2, 3.0, 41.0]))
                found[waiter, blocker] = edge(
                    waiter, blocker, wait_s=wait_s, target=target, tag=LockTag(target)
                )
    return tuple(found.values())


SWITCHES = st.sets(st.integers(0, 40), max_size=6)


def settled(edges: tuple[Edge, ...]) -> LockSnapshot:
    first = settle(None, snapshot(edges))
    return settle(first, snapshot(edges, after_s=0.25))


@given(edges(), SWITCHES)
def test_every_waiter_is_shown_or_counted_once(found: tuple[Edge, ...], numbers: set[int]) -> None:
    graph = LockGraph(settled(found))
    everything = folded_rows(graph, all_open=True)
    switched = {everything[one % len(everything)].key for one in numbers if everything}
    rows = folded_rows(graph, switched)
    shown = Counter(row.party for row in rows if not isinstance(row.shown, Queue) and not row.shown.again)
    assert all(number == 1 for number in shown.values())
    # What is in a closed row isn't shown; what it counts is all that is missing.
    counted = 0
    for row in rows:
        if row.fold != "closed":
            continue
        if isinstance(row.shown, Queue):
            counted += row.shown.waiting + row.shown.behind_them
        else:
            place = next(number for number, one in enumerate(everything) if one.key == row.key)
            counted += sum(
                place in one.above and not isinstance(one.shown, Queue) and not one.shown.again
                for one in everything
            )
    assert len(shown) + counted == len(graph.nodes)


@given(edges(), SWITCHES)
def test_keys_are_unique_and_guides_as_deep_as_the_rows_above(
    found: tuple[Edge, ...], numbers: set[int]
) -> None:
    graph = LockGraph(settled(found))
    everything = folded_rows(graph, all_open=True)
    switched = {everything[one % len(everything)].key for one in numbers if everything}
    rows = folded_rows(graph, switched)
    assert len({row.key for row in rows}) == len(rows)
    assert {row.key for row in rows} <= {row.key for row in everything}
    for number, row in enumerate(rows):
        assert len(row.guides) == len(row.above)
        assert row.guides[-1:] in ((), ("├ ",), ("└ ",))
        assert list(row.above) == sorted(row.above)
        assert all(above < number for above in row.above)


@given(edges())
def test_what_is_shown_again_says_where_it_is_in_full(found: tuple[Edge, ...]) -> None:
    graph = LockGraph(settled(found))
    named: dict[str, int] = {}
    repeated: list[tuple[int, str, str, str]] = []
    top = ""
    for number, line in enumerate(lock_tree.tree(graph).splitlines()):
        if line.startswith("pid "):
            top = line.partition("  ")[0]
        if again := re.match(r"[├└│─ ]*(pid \d+)  \(shown (.*?)\) ", line):
            repeated.append((number, top, again[1], again[2]))
        elif full := re.match(r"[├└│─ ]*(pid \d+)  ", line):
            assert named.setdefault(full[1], number) == number
    tops = {party: str(root) for party, root in graph.shown_behind.items()}
    for number, root, who, where in repeated:
        if where == "above":
            assert named[who] < number
        elif where == "below":
            assert named[who] > number
        elif where == "in a queue of this tree":
            assert who not in named
            assert tops[Party(int(who[4:]))] == root
        else:
            # A tree further up: what is in full stands in the first that it belongs to.
            assert where == f"behind {tops[Party(int(who[4:]))]}"
            assert named[where.removeprefix("behind ")] < named[root]


@given(edges(), SWITCHES)
def test_a_row_that_repeats_another_says_whether_that_is_below(
    found: tuple[Edge, ...], numbers: set[int]
) -> None:
    graph = LockGraph(settled(found))
    everything = folded_rows(graph, all_open=True)
    rows = folded_rows(graph, {everything[one % len(everything)].key for one in numbers if everything})
    in_full = {row.party: number for number, row in enumerate(rows) if not repeats(row)}
    for number, (row, drawn) in enumerate(
        zip(rows, LockRows(graph, rows, names_all=False).all({}), strict=True)
    ):
        if repeats(row):
            assert ("(see below)" in drawn.texts[0]) == (in_full.get(row.party, -1) > number)
            assert ("(again)" in drawn.texts[0]) != ("(see below)" in drawn.texts[0])


def repeats(row: FoldedRow) -> bool:
    return not isinstance(row.shown, Queue) and row.shown.again


def test_a_row_below_one_of_a_queue_stays_in_sight_with_it() -> None:
    behind_1 = [edge(pid, 1) for pid in (4, *range(5, 16))]
    deadlocks = [edge(1, 4), edge(14, 15), edge(15, 14)]
    graph = LockGraph(settled((*behind_1, *deadlocks, edge(2, 5))))
    key = key_of(graph, Party(2))
    assert key not in {row.key for row in folded_rows(graph)}
    shown = {row.key for row in folded_rows(graph, selected=key)}
    assert {key, key_of(graph, Party(5))} <= shown
    assert key_of(graph, Party(13)) not in shown


@given(edges(), st.integers(0, 40))
def test_the_selected_row_is_never_in_a_closed_queue(found: tuple[Edge, ...], number: int) -> None:
    graph = LockGraph(settled(found))
    for party in [Party(number)] if Party(number) in graph.nodes else []:
        key = key_of(graph, party)
        assert key in {row.key for row in folded_rows(graph, selected=key)}


@given(edges(), SWITCHES, st.integers(0, 100))
def test_any_row_can_be_made_to_show(found: tuple[Edge, ...], numbers: set[int], wanted: int) -> None:
    graph = LockGraph(settled(found))
    everything = folded_rows(graph, all_open=True)
    if everything:
        switched = {everything[one % len(everything)].key for one in numbers}
        key = everything[wanted % len(everything)].key
        shown = folded_rows(graph, switches_that_show(everything, key, switched))
        assert key in {row.key for row in shown}


@given(edges(), st.integers(1, 40))
def test_a_filter_keeps_what_fits_with_all_above_and_below_it(found: tuple[Edge, ...], number: int) -> None:
    graph = LockGraph(settled(found))
    kept = folded_rows(graph, all_open=True, fits=lambda party, _: party.pid == number)
    everything = folded_rows(graph, all_open=True)
    places = [place for place, row in enumerate(everything) if row.party == Party(number)]
    fitting = {
        row.party
        for place, row in enumerate(everything)
        if row.party is not None
        and any(one in (place, *row.above) or place in everything[one].above for one in places)
    }
    assert {row.party for row in kept if row.party} == fitting


def queue(waiters: int) -> LockSnapshot:
    return settled(tuple(edge(pid, 1, wait_s=50.0 - pid / 100) for pid in range(2, 2 + waiters)))


def test_a_long_queue_is_one_line_that_opens() -> None:
    graph = LockGraph(queue(500))
    rows = folded_rows(graph)
    assert [row.party for row in rows] == [Party(1), Party(2), Party(3), Party(4), None]
    line = rows[-1]
    assert isinstance(line.shown, Queue)
    assert (line.fold, line.shown.waiting, line.shown.waits_for) == ("closed", 497, "row of t (id=1)")
    assert line.shown.longest_s == 49.95
    opened = folded_rows(graph, [line.key])
    assert len(opened) == 502
    assert [row.key for row in opened[:5]] == [row.key for row in rows]
    assert opened[5].guides == ("  ", "├ ")


def test_a_short_queue_takes_no_fold() -> None:
    rows = folded_rows(LockGraph(queue(FOLDS_FROM - 1)))
    assert len(rows) == FOLDS_FROM
    assert len(folded_rows(LockGraph(queue(FOLDS_FROM)))) == 1 + FIRST_SHOWN + 1


def test_a_session_keeps_its_key_as_its_blockers_go() -> None:
    before = LockGraph(settled((edge(2, 1), edge(3, 2), edge(4, 1))))
    after = LockGraph(settled((edge(3, 2),)))
    keys = {row.party: row.key for row in folded_rows(before)}
    assert {row.party: row.key for row in folded_rows(after)}.items() <= keys.items()


def test_a_queue_keeps_its_key_as_its_lock_gets_a_name() -> None:
    def line(target: str) -> FoldedRow:
        found = tuple(edge(pid, 1, target=target) for pid in range(2, 20))
        return folded_rows(LockGraph(settled(found)))[-1]

    before, after = line("row of relation 16384 (at 0,42)"), line("row of accounts (id=42)")
    assert before.key == after.key
    assert before.shown != after.shown


def test_those_that_block_others_are_shown_before_those_that_only_wait() -> None:
    found = tuple(edge(pid, 1, wait_s=90.0 - pid) for pid in range(2, 20))
    rows = folded_rows(LockGraph(settled((*found, edge(30, 19, target="table t")))))
    assert [row.party for row in rows[:4]] == [Party(1), Party(19), Party(30), Party(2)]
