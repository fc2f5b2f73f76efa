"""The diagnosis rules, each with the lock tree of a scenario to which it applies, recorded on a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cattrs.preconf.json import JsonConverter, make_converter

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.locks.diagnosis.evidence import RootBlocker
from pgwatch_tests.locks.diagnosis.rules import RULES, diagnose, unknown
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.locks import lock_tree
from tests.locks.looking import look
from tests.locks.scenarios import CATALOGUE
from tests.locks.scenarios.stage import staged
from tests.locks.scenarios.truth import Scenario
from tests.servers.server_places import server_directory

_DATABASE = "app_test"
EXAMPLES = Path(__file__).parents[1] / "diagnoses.json"


@dataclass(frozen=True, slots=True)
class Example:
    """What a server looked like in a scenario of tests/locks/scenarios."""

    cause: str
    scenario: str
    snapshot: LockSnapshot


def text() -> str:
    """A section for each diagnosis: when it is given, and the lock tree of its example."""
    return "\n\n".join(map(_section, load()))


def _section(example: Example) -> str:
    graph = LockGraph(example.snapshot)
    [tree, *_] = [tree for tree in graph.trees if diagnose(graph, tree.node).cause == example.cause]
    lines = "\n".join(lock_tree.tree_lines(graph, tree))
    return f"### {example.cause}\n\n{_meaning(graph, tree.node, example.cause)}\n\n```text\n{lines}\n```"


def _meaning(graph: LockGraph, party: Party, cause: str) -> str:
    """The first line of the docstring of the rule that speaks, and its line on this cause, if any."""
    root = RootBlocker.of(graph, party)
    rule = next((rule for rule in RULES if rule(root)), unknown)
    first, *others = (rule.__doc__ or "").strip().splitlines()
    of_cause = [
        line.strip().removeprefix(f"{cause}: ") for line in others if line.strip().startswith(f"{cause}: ")
    ]
    return " ".join([first, *of_cause])


def load() -> tuple[Example, ...]:
    """The recorded examples, in the order of the rules."""
    return _converter().loads(EXAMPLES.read_text(encoding="utf-8"), tuple[Example, ...])


def record() -> None:
    """Plays scenarios until each cause has its example, and writes them to their file."""
    found: dict[str, Example] = {}
    for scenario in sorted(CATALOGUE, key=lambda one: len(one.settings)):
        for cause, snapshot in _played(scenario):
            example = Example(cause, scenario.name, snapshot)
            if cause not in found or _weight(example) < _weight(found[cause]):
                found[cause] = example
    order = sorted(found.values(), key=_rank)
    EXAMPLES.write_text(_converter().dumps(order, indent=1) + "\n", encoding="utf-8")


def _weight(example: Example) -> tuple[int, int, int]:
    """The example to take is the one in which most can be seen; of these, a usual one, and the smallest."""
    snapshot = example.snapshot
    hidden = sum(session.hidden for session in snapshot.sessions)
    return hidden, len(snapshot.prepared), len(snapshot.shown_edges)


def _rank(example: Example) -> tuple[int, str]:
    graph = LockGraph(example.snapshot)
    root = next(tree.node for tree in graph.trees if diagnose(graph, tree.node).cause == example.cause)
    speaker = RootBlocker.of(graph, root)
    return next((n for n, rule in enumerate(RULES) if rule(speaker)), len(RULES)), example.cause


def _played(scenario: Scenario) -> Iterator[tuple[str, LockSnapshot]]:
    settings = {"wal_level": "logical", "autovacuum": "off", **scenario.settings}
    with (
        EmbeddedServer(find_programs(), server_directory(), settings) as server,
        staged(server, _DATABASE) as cast,
    ):
        scenario.play(cast)
        # Some things are only said to a role that sees little.
        role = cast.role()
        cast.run(f"ALTER ROLE {role} LOGIN")
        for dsn in (cast.dsn, server.dsn(cast.database, role)):
            graph = look(dsn)
            for tree in graph.trees:
                yield diagnose(graph, tree.node).cause, graph.snapshot


def _converter() -> JsonConverter:
    converter = make_converter()
    converter.register_structure_hook(Party, lambda value, _: Party(int(value[0]), str(value[1])))
    return converter
