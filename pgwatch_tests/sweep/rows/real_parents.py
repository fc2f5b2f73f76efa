"""Real parents: rows that stay, and that rows which go as dependent refer to as well.

A comment of a real user on a test's post goes with the post. Whoever confirms a plan is to know that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pgwatch_tests.sweep.plan.related_rows import Rows
from pgwatch_tests.sweep.plan.rules import MARKED, Rules
from pgwatch_tests.sweep.rows.portions import Portion

# The plan of a hundred thousand rows isn't to take twice the time for a remark.
MOST_ASKED = 10_000
MOST_NAMED = 5
"""So many rows of each pair of tables are named by their keys."""


@dataclass(slots=True)
class RealParents:
    """How many dependent rows refer to real rows that stay, by the leaves of both."""

    rows: Counter[tuple[int, int]] = field(default_factory=Counter)
    examples: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """The tids of a few of these rows."""
    partly: set[int] = field(default_factory=set)
    """The leaves that have more dependent rows than were asked about."""


def add_referring(part: Portion, rules: Rules, rows: Rows, found: RealParents) -> None:
    """Adds the dependent rows of a portion that refer to unmarked rows that stay, of tables with markers.

    Asks once for each foreign key that may lead there. Raises what `rows` does.
    """
    graph = rules.graph
    for leaf in part.rows:
        keys = [key for key in graph.of(leaf) if key.takes_along or key.changes]
        upward = [
            key
            for key in keys
            if key.oid not in rules.skipped
            and not rules.bearing.isdisjoint(parents := graph.leaves(key.parent))
            and rules.unseen.isdisjoint(parents)
        ]
        # By its only key, each row has come from a row that goes.
        if not upward or len(keys) == 1 or not (tids := part.dependents(leaf)):
            continue
        if len(tids) > MOST_ASKED:
            found.partly.add(leaf)
        pairs = {
            (place, above)
            for key in upward
            for place, above, tid, _, flags in rows.parents(key, leaf, tids[:MOST_ASKED])
            if above in rules.bearing and not flags & MARKED and not part.holds(above, tid)
        }
        found.rows.update((leaf, above) for _, above in pairs)
        for place, above in sorted(pairs):
            several = found.examples.setdefault((leaf, above), [])
            if len(several) < MOST_NAMED:
                several.append(tids[place])
