"""Every scenario, as our reader sees it: against what is true, and against the server's own word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms, find_programs
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.release import release
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks.formats import lock_json
from tests.locks.looking import edges_of_server, look
from tests.locks.scenarios import CATALOGUE
from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.truth import Link, Scenario, Truth, in_turn
from tests.servers.server_places import server_directory
from tests.waiting import wait_until


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Leaves out what this major can't do; `python -m tests.matrix` shows which and why."""
    if "scenario" in metafunc.fixturenames:
        major = int(find_programs().version().partition(".")[0])
        possible = [one for one in CATALOGUE if one.since <= major]
        metafunc.parametrize("scenario", possible, ids=str)


@pytest.fixture
def server(
    scenario: Scenario, server: EmbeddedServer, programs: ServerPrograms, template: Path
) -> Iterator[EmbeddedServer]:
    """The worker's server, or one with the scenario's own settings."""
    if not scenario.settings:
        yield server
        return
    with EmbeddedServer(programs, server_directory(), scenario.settings, template) as own:
        yield own


def test_scenario(scenario: Scenario, cast: Cast, server: EmbeddedServer) -> None:
    truth = scenario.play(cast)
    graph = look(cast.dsn)
    accused = {part for link in truth.edges for part in (link.waiter, link.blocker)}
    assert accused | set(truth.innocents) == cast.parts, "each part is in the truth"
    assert not accused & set(truth.innocents)
    assert edges(graph, cast) == edges_in(truth)
    assert server_says(server, cast) == {
        (link.waiter, "a prepared transaction" if cast.party(link.blocker).pid == 0 else link.blocker)
        for link in truth.edges
        if link.kind != "connected"
    }
    assert roots(graph, cast) == {
        root: (count, sum(link.blocker == root for link in truth.edges))
        for root, count in truth.roots.items()
    }
    assert graph.snapshot.blocked == len({link.waiter for link in truth.edges})
    assert deadlocks(graph, cast) == {in_turn(cycle) for cycle in truth.deadlocks}
    assert graph.snapshot.probable_deadlocks == ()
    assert {part: diagnose(graph, cast.party(part)).cause for part in truth.causes} == truth.causes
    check_document(graph, cast, truth)
    check_targets(graph, cast, truth)
    check_words(graph, cast, truth)
    check_release(graph, cast)


def test_each_scenario_has_a_name_of_its_own_and_a_reason_to_be_left_out() -> None:
    names = [one.name for one in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(one.because for one in CATALOGUE if one.since > 13)


def edges(graph: LockGraph, cast: Cast) -> set[tuple[str, str, str]]:
    return {
        (cast.part(edge.waiter), cast.part(edge.blocker), edge.kind) for edge in graph.snapshot.shown_edges
    }


def edges_in(truth: Truth) -> set[tuple[str, str, str]]:
    return {(link.waiter, link.blocker, link.kind) for link in truth.edges}


def server_says(server: EmbeddedServer, cast: Cast) -> set[tuple[str, str]]:
    return {
        (cast.part(Party(waiter)), cast.part(Party(blocker)) if blocker else "a prepared transaction")
        for waiter, blocker in edges_of_server(server.dsn())
    }


def roots(graph: LockGraph, cast: Cast) -> dict[str, tuple[int, int]]:
    return {
        cast.part(root): (graph.blocks(root), graph.blocks_directly(root)) for root in graph.root_blockers
    }


def deadlocks(graph: LockGraph, cast: Cast) -> set[tuple[str, ...]]:
    return {in_turn(map(cast.part, cycle)) for cycle in graph.snapshot.deadlocks}


def check_document(graph: LockGraph, cast: Cast, truth: Truth) -> None:
    document = json.loads(lock_json.document(graph.snapshot))
    assert {
        (
            cast.part(Party(edge["waiter_pid"])),
            cast.part(Party(edge["blocker_pid"], edge["blocker_gid"] or "")),
            edge["kind"],
        )
        for edge in document["edges"]
    } == edges_in(truth)
    assert len(document["edges"]) == len(truth.edges)
    assert {
        cast.part(Party(root["pid"], root["gid"] or "")): root["blocks"] for root in document["roots"]
    } == truth.roots
    assert {in_turn(cast.part(Party(pid)) for pid in cycle) for cycle in document["deadlocks"]} == {
        in_turn(cycle) for cycle in truth.deadlocks
    }


def check_targets(graph: LockGraph, cast: Cast, truth: Truth) -> None:
    shown = {
        (cast.part(edge.waiter), cast.part(edge.blocker)): edge.lock.target
        for edge in graph.snapshot.shown_edges
    }
    wrong = {
        (link.waiter, link.blocker): (shown[link.waiter, link.blocker], link.target)
        for link in truth.edges
        if not says(link, shown[link.waiter, link.blocker])
    }
    assert not wrong, "targets: shown, true"
    beside = {
        (cast.part(edge.waiter), cast.part(edge.blocker)): tuple(map(cast.part, edge.lock.also_held_by))
        for edge in graph.snapshot.shown_edges
    }
    assert beside == {(link.waiter, link.blocker): link.also_held_by for link in truth.edges}


def check_words(graph: LockGraph, cast: Cast, truth: Truth) -> None:
    for part in {*truth.said, *truth.unsaid}:
        told = diagnose(graph, cast.party(part))
        words = f"{told.explanation} {told.advice}"
        assert [one for one in truth.said.get(part, ()) if one not in words] == [], words
        assert [one for one in truth.unsaid.get(part, ()) if one in words] == [], words


def check_release(graph: LockGraph, cast: Cast) -> None:
    """Ends a root blocker, where several wait or have locked a row, and looks whom that frees."""
    root = next((one for one in graph.root_blockers if one.pid), None)
    is_shared = any(group.lock.also_held_by for groups in graph.groups.values() for group in groups)
    if root is None or not (is_shared or len(graph.groups) > 1):
        return
    foretold = release(graph, root)
    cast.observer.execute("SELECT pg_terminate_backend(%s)", [root.pid])

    def continued() -> LockGraph | None:
        """The graph in which each that was foretold to has got what it waited for."""
        after = look(cast.dsn)
        before = {wait for one in foretold.freed for wait in waits(graph, one)}
        now = {wait for one in after.groups for wait in waits(after, one)}
        return None if root in after.sessions or now & before else after

    after = wait_until(continued, message=f"{sorted(map(cast.part, foretold.freed))} continue")
    assert after is not None
    # Who is free may have done all that it wanted by now, and so freed others.
    perhaps = {one for freed in foretold.freed for one in graph.blocked_by(freed)}
    assert graph.groups.keys() - after.groups.keys() <= {root, *foretold.freed, *perhaps}


def waits(graph: LockGraph, party: Party) -> Iterator[tuple[Party, object]]:
    """What a party waits for: its wait, or a row, for which it may wait again and again."""
    for group in graph.groups[party]:
        yield party, group.lock.target if group.lock.target.endswith(")") else group.wait


def says(link: Link, shown: str) -> bool:
    """Whether these are the words of the truth, or they and more in brackets."""
    return link.target in ("", shown) or shown.startswith(f"{link.target} (")
