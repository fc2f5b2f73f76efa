"""The forms in which `locks` can say what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never, get_args

from pgwatch_tests.accepted_findings import Acceptance

if TYPE_CHECKING:
    from pgwatch_tests.locks.gate import AcceptanceUse
    from pgwatch_tests.locks.model import LockSnapshot

Format = Literal["table", "json", "csv", "markdown", "github", "junit"]
FORMATS: tuple[Format, ...] = get_args(Format)
WITH_VERDICT: tuple[Format, ...] = ("markdown", "github", "junit")
"""Those that tell findings from shorter waits, with `--fail` or without."""


def rendered(form: Format, snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """`snapshot` in that form; a wait of `min_wait_s` seconds or more is a finding, unless it is `known`.

    None: nobody asked what is accepted.
    """
    match form:
        case "table":
            from pgwatch_tests.reports.locks import lock_tree

            return lock_tree.text(snapshot) + _accepted(snapshot, min_wait_s, known)
        case "json":
            from pgwatch_tests.reports.locks import lock_json

            return lock_json.document(snapshot, None if known is None else _use(snapshot, min_wait_s, known))
        case "csv":
            from pgwatch_tests.reports.locks import lock_csv

            return lock_csv.document(snapshot)
        case "markdown":
            from pgwatch_tests.reports.locks import lock_markdown

            return lock_markdown.document(snapshot, min_wait_s, known)
        case "github":
            from pgwatch_tests.reports.locks import lock_github

            return lock_github.document(snapshot, min_wait_s, known)
        case "junit":
            from pgwatch_tests.reports.locks import lock_junit

            return lock_junit.document(snapshot, min_wait_s, known)
    assert_never(form)


def _accepted(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None) -> str:
    from pgwatch_tests.reports.locks import lock_accepted

    if known is None:
        return ""
    return "\n" + "\n".join(lock_accepted.lines(_use(snapshot, min_wait_s, known))) + "\n"


def _use(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance) -> AcceptanceUse:
    from pgwatch_tests.locks.gate import judge, use_of
    from pgwatch_tests.locks.graph.lock_graph import LockGraph

    return use_of(judge(LockGraph(snapshot), min_wait_s, known))
