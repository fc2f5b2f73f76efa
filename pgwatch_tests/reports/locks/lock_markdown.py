"""The locks as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.locks.gate import JudgedRoot, judge, use_of
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks import capacity_words, lock_accepted, lock_tree
from pgwatch_tests.reports.render.markdown_text import block, code
from pgwatch_tests.text import durations

# A step's summary may have 1 MiB (GitHub's manual, Workflow commands).
_MOST_ROOTS = 100
_MOST_LINES = 1000


def document(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """A heading, a table of root blockers (those a gate fails on in bold), and the tree in a fenced block."""
    graph = LockGraph(snapshot)
    found = judge(graph, min_wait_s, known)
    where = f"database {code(snapshot.database)}"
    warnings = [line for one in capacity_words.warnings(snapshot) for line in ("", f"⚠ {code(one)}")]
    counted = [line for one in _accepted(found, known) for line in ("", one)]
    if not found:
        return "\n".join((f"## Locks: nothing is blocked ({where})", *warnings, *counted, ""))
    longest = durations.in_words(max(root.longest_wait_s for root in found))
    lines = [
        f"## Locks: {snapshot.blocked:,} blocked, longest wait {longest} ({where})",
        *warnings,
        *counted,
        "",
        "| Root blocker | Session | State | Blocks | Longest wait | Cause |",
        "|:--|:--|:--|--:|--:|:--|",
        *(_row(root, graph) for root in found[:_MOST_ROOTS]),
    ]
    if len(found) > _MOST_ROOTS:
        lines += ["", f"… and {len(found) - _MOST_ROOTS:,} more root blockers."]
    tree = lock_tree.text(snapshot).splitlines()
    if len(tree) > _MOST_LINES:
        tree = [*tree[:_MOST_LINES], f"… and {len(tree) - _MOST_LINES:,} more lines"]
    return "\n".join((*lines, "", block("\n".join(tree)), ""))


def _accepted(found: Sequence[JudgedRoot], known: Acceptance | None) -> list[str]:
    return [] if known is None else lock_accepted.lines(use_of(found), code)


def _row(root: JudgedRoot, graph: LockGraph) -> str:
    row = lock_tree.root_row(graph, root.party)
    since = "" if row.age_s is None else f" for {durations.in_words(row.age_s)}"
    longest = durations.in_words(root.longest_wait_s)
    if root.verdict == "finding":
        longest = f"**{longest}**"
    elif root.verdict == "accepted":
        longest = f"{longest} (accepted)"
    cells = (
        code(row.test),
        code(f"{row.who} ({row.place})" if row.place else row.who),
        f"{code(row.state)}{since}",
        f"{root.blocks:,}",
        longest,
        code(root.diagnosis.cause),
    )
    return f"| {' | '.join(cells)} |"
