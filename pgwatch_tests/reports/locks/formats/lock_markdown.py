"""The locks as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.locks.gate import JudgedRoot, judge, use_of
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.formats import lock_accepted
from pgwatch_tests.reports.locks.lock_tree import NOTHING_BLOCKED
from pgwatch_tests.reports.render import markdown_text
from pgwatch_tests.reports.render.markdown_text import block, code
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text import durations

_MOST_LINES = 1000


def document(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """A heading, the verdict, a table of root blockers, and the tree in a fenced block.

    Root blockers that a gate fails on are in bold.
    """
    graph = LockGraph(snapshot)
    judged = judge(graph, min_wait_s, known)
    where = f"database {code(snapshot.database)}"
    notes = [f"⚠ {code(one)}" for one in capacity_use.warnings(snapshot)]
    if known is not None:
        notes += lock_accepted.lines(use_of(judged), code)
    verdict = lock_tree.verdict(graph)
    if not judged:
        more = [] if NOTHING_BLOCKED.startswith(verdict) else [code(verdict)]
        return markdown_text.document([f"## Locks: nothing is blocked ({where})", *more, *notes])
    longest = durations.in_words(max(root.longest_wait_s for root in judged))
    roots = Section(
        ("Root blocker", "Session", "State", "Blocks", "Longest wait", "Cause"),
        "lllrrl",
        [_row(root, graph) for root in judged],
    )
    tree = lock_tree.tree(graph).splitlines()
    if len(tree) > _MOST_LINES:
        tree = [*tree[:_MOST_LINES], f"… and {len(tree) - _MOST_LINES:,} more lines"]
    return markdown_text.document(
        [
            f"## Locks: {snapshot.blocked:,} blocked, longest wait {longest} ({where})",
            code(verdict),
            *notes,
            *markdown_text.written(roots, "###", "root blockers"),
            block("\n".join(tree)),
        ]
    )


def _row(root: JudgedRoot, graph: LockGraph) -> tuple[str, ...]:
    row = lock_tree.root_row(graph, root.party)
    since = "" if row.age_s is None else f" for {durations.in_words(row.age_s)}"
    longest = durations.in_words(root.longest_wait_s)
    if root.verdict == "finding":
        longest = f"**{longest}**"
    elif root.verdict == "accepted":
        longest = f"{longest} (accepted)"
    return (
        code(row.test),
        code(f"{row.who} ({row.place})" if row.place else row.who),
        f"{code(row.state)}{since}",
        f"{root.blocks:,}",
        longest,
        code(root.diagnosis.cause),
    )
