"""Real parents: rows that stay, and that rows which go as dependent refer to as well.

A comment of a real user on a test's post goes with the post. Whoever confirms a plan is to know that.
"""

from __future__ import annotations

from collections import Counter

from pgwatch_tests.sweep.plan.related_rows import Rows
from pgwatch_tests.sweep.plan.rules import MARKED, Rules
from pgwatch_tests.sweep.rows.portions import Portion


def referring(part: Portion, rules: Rules, rows: Rows) -> Counter[tuple[int, int]]:
    """Returns how many dependent rows of a portion refer to unmarked rows that stay, of tables that bear
    markers: by the leaves of both. Asks once for each foreign key that may lead there.

    Raises what `rows` does.
    """
    found: Counter[tuple[int, int]] = Counter()
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
        pairs = {
            (place, above)
            for key in upward
            for place, above, tid, _, flags in rows.parents(key, leaf, tids)
            if above in rules.bearing and not flags & MARKED and not part.holds(above, tid)
        }
        found.update((leaf, above) for _, above in pairs)
    return found
