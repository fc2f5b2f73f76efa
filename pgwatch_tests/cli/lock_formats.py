"""The forms in which `locks` can say what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never, get_args

if TYPE_CHECKING:
    from pgwatch_tests.locks.model import LockSnapshot

Format = Literal["table", "json", "csv", "markdown", "github", "junit"]
FORMATS: tuple[Format, ...] = get_args(Format)
WITH_VERDICT: tuple[Format, ...] = ("markdown", "github", "junit")
"""Those that tell findings from shorter waits, with `--fail` or without."""


def rendered(form: Format, snapshot: LockSnapshot, min_wait_s: float) -> str:
    """`snapshot` in that form; a wait of `min_wait_s` seconds or more is a finding."""
    match form:
        case "table":
            from pgwatch_tests.reports import lock_tree

            return lock_tree.text(snapshot)
        case "json":
            from pgwatch_tests.reports import lock_json

            return lock_json.document(snapshot)
        case "csv":
            from pgwatch_tests.reports import lock_csv

            return lock_csv.document(snapshot)
        case "markdown":
            from pgwatch_tests.reports import lock_markdown

            return lock_markdown.document(snapshot, min_wait_s)
        case "github":
            from pgwatch_tests.reports import lock_github

            return lock_github.document(snapshot, min_wait_s)
        case "junit":
            from pgwatch_tests.reports import lock_junit

            return lock_junit.document(snapshot, min_wait_s)
    assert_never(form)
