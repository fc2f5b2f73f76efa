"""The locks as annotations of a GitHub workflow."""

from __future__ import annotations

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.locks.gate import JudgedRoot, judge
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.render.ci_text import annotation, log_line
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain


def document(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """The verdict as a line of the log, then an annotation per root blocker.

    `::error` where a gate fails, `::notice` if accepted, else `::warning`.
    """
    graph = LockGraph(snapshot)
    lines = [log_line(lock_tree.verdict(graph))]
    lines += [_annotation(root, graph) for root in judge(graph, min_wait_s, known)]
    lines += [annotation("warning", "Nearly used up", one) for one in capacity_use.warnings(snapshot)]
    return "\n".join(lines) + "\n"


def _annotation(root: JudgedRoot, graph: LockGraph) -> str:
    longest = durations.in_words(root.longest_wait_s)
    title = f"{plain(graph.who(root.party))} blocks {root.blocks:,}, longest wait {longest}"
    message = f"{plain(root.diagnosis.explanation)}\n→ {plain(root.diagnosis.advice)}"
    if root.verdict == "accepted":
        return annotation("notice", f"accepted: {title}", message)
    return annotation("error" if root.verdict == "finding" else "warning", title, message)
