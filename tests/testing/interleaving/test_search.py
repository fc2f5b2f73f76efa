"""The reduced search finds what a full one finds, whatever the programs, and runs nothing twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pgwatch_tests.testing.interleaving.schedules.search import Event, Search, preemptions
from pgwatch_tests.testing.interleaving.schedules.touch import Touch, conflict, modes
from tests.testing.interleaving.simulator import COMMIT, Program, Run, Statement, all_runs, following, run

ROWS = [("x", 1), ("x", 2), ("y", 1)]
KINDS = ("read", "add", "lock", "add_if_zero")


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, ...]:
    """Two or three actors of at most four and three steps, in one or two transactions each."""
    actors = draw(st.integers(2, 3))
    statements = st.builds(Statement, st.sampled_from(KINDS), st.sampled_from(ROWS)) | st.just(COMMIT)
    program = st.lists(statements, min_size=1, max_size=4 if actors == 2 else 3)
    return tuple((*draw(program), COMMIT)[: 5 if actors == 2 else 3] for _ in range(actors))


def reduced(of: Sequence[Program], max_preemptions: int | None = None) -> tuple[Search, list[Run]]:
    """All runs that the search asks for."""
    search = Search(max_preemptions)
    runs = []
    while (prefix := search.next()) is not None:
        done = run(of, following(prefix))
        assert done.chosen[: len(prefix)] == prefix
        search.add(done.initial, done.events)
        runs.append(done)
        assert len(runs) < 20_000
    assert search.left == 0
    assert not search.divergences
    return search, runs


def trace(of: Run) -> frozenset[object]:
    """All that equivalent runs share: each step, with the steps that have to come before it."""
    names: list[tuple[int, int]] = []
    pasts: list[set[tuple[int, int]]] = []
    for at, event in enumerate(of.events):
        moved = {actor for actor, _ in event.after}
        past: set[tuple[int, int]] = set()
        for earlier in range(at):
            other = of.events[earlier]
            if moved & {actor for actor, _ in other.after} or conflict(other.touch, event.touch):
                past |= pasts[earlier] | {names[earlier]}
        names.append((event.actor, sum(actor == event.actor for actor, _ in names)))
        pasts.append(past)
    return frozenset((name, frozenset(past)) for name, past in zip(names, pasts, strict=True))


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@example(
    of=(
        (Statement("add", ("x", 1)), COMMIT),
        (Statement("add", ("x", 2)), COMMIT),
        (Statement("read", ("x", 1)), Statement("add", ("x", 1)), Statement("add", ("x", 2))),
    ),
    bound=1,
)
@given(of=programs(), bound=st.integers(0, 2))
def test_it_finds_every_outcome_that_the_full_search_finds(of: tuple[Program, ...], bound: int) -> None:
    full = list(all_runs(of))
    _, runs = reduced(of)

    assert {one.outcome for one in runs} == {one.outcome for one in full}
    traces = [trace(one) for one in runs]
    assert set(traces) == {trace(one) for one in full}
    assert len(set(traces)) == len(traces)
    # A run goes on without a preemption, so its own are those of its prefix at least.
    counts = [preemptions(one.chosen, one.ready) for one in runs]
    assert counts == sorted(counts)

    # A bound loses no schedule within it.
    within = {one.outcome for one in full if preemptions(one.chosen, one.ready) <= bound}
    search, bounded = reduced(of, bound)
    assert {one.outcome for one in bounded} == within
    assert all(preemptions(one.chosen, one.ready) <= bound for one in bounded)
    if not search.is_cut:
        assert within == {one.outcome for one in full}


def test_a_lost_update_takes_one_preemption() -> None:
    x = ("x", 1)
    program = (Statement("read", x), Statement("add_if_zero", x), COMMIT)
    _, runs = reduced([program, program])

    first = next(at for at, one in enumerate(runs) if one.outcome[1] == frozenset({(x, 3)}))
    assert first < 5
    assert preemptions(runs[first].chosen, runs[first].ready) == 1


def test_steps_on_other_tables_multiply_nothing() -> None:
    check = (Statement("read", ("x", 1)), Statement("add_if_zero", ("x", 1)), COMMIT)
    other = (Statement("read", ("y", 1)), Statement("add", ("y", 1)), COMMIT)
    _, both = reduced([check, check])
    _, all_three = reduced([check, check, other])

    assert len(all_three) == len(both) < len(list(all_runs([check, check])))
    assert len(all_three) * 5 <= len(list(all_runs([check, check, other])))


def test_an_actor_that_does_something_else_the_next_time_is_told() -> None:
    search = Search()
    free = Touch(takes={("relation", "x"): modes("RowExclusiveLock")})
    search.add(("ready", "ready"), [Event(0, free, ((0, "done"),), "a"), Event(1, free, ((1, "done"),), "b")])
    assert search.next() == (1,)
    search.add(("ready", "ready"), [Event(1, free, ((1, "done"),), "b"), Event(0, free, ((0, "done"),), "a")])
    assert search.next() is None
    assert search.divergences == []
    search.add(("ready", "ready"), [Event(0, free, ((0, "done"),), "c"), Event(1, free, ((1, "done"),), "b")])
    assert search.divergences == ["c"]


@pytest.mark.parametrize(("bound", "is_cut"), [(None, False), (1, True)])
def test_it_tells_whether_the_bound_left_something_out(bound: int | None, is_cut: bool) -> None:
    x, y = ("x", 1), ("y", 1)
    program = (Statement("add", x), COMMIT, Statement("add", y), COMMIT)
    search, _ = reduced([program, program], bound)
    assert search.is_cut is is_cut
