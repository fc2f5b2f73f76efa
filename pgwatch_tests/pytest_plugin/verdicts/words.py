"""The words of verdicts on rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.pytest_plugin.verdicts.judge import Judged
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.numbers import plural

_TEST_ADVICE = (
    "delete them in its own tear-down (`cleanup_test`), or let it work in `rollback_session` or "
    "`isolated_schema`"
)
_FIXTURE_ADVICE = "delete them after the fixture's yield"
_LATE_ADVICE = "have the test wait for its threads and tasks (join, await) before it ends"
BY_HASH = "known by the test's hash in them"
_UNCLEAR_ADVICE = "if it only changes rows that were there before, have it restore them"


def findings_of(owner: Owner, judged: Judged, *, is_late: bool) -> Iterator[Finding]:
    """Yields what is to be told of an owner's rows in one table."""
    name = judged.found.shape.name
    new, unclear = judged.kinds["new"], judged.kinds["unclear"]
    such = such_as(judged.examples, new or unclear)
    if new and is_late:
        reason = f"wrote {plural(new, 'row')} into {name}{such} after it had ended"
        yield Finding("late_rows", owner, reason, _LATE_ADVICE, (name,), rows=new)
    elif new:
        advice = _TEST_ADVICE if owner.kind == "test" else _FIXTURE_ADVICE
        reason = f"left {plural(new, 'row')} in {name}{such}{_by_hash(judged.same_digest, new)}"
        yield Finding("rows", owner, reason, advice, (name,), rows=new)
    elif unclear:
        reason = f"left or changed {plural(unclear, 'row')} in {name}{such}: which of the two isn't known"
        yield Finding("rows", owner, reason, _UNCLEAR_ADVICE, (name,), fails=False, rows=unclear)


def such_as(examples: Sequence[str], number: int) -> str:
    """` (id=4, id=5, …)`: a few of so many rows; empty without examples."""
    if not examples:
        return ""
    more = ", …" if number > len(examples) else ""
    return f" ({', '.join(examples)}{more})"


def _by_hash(marked: int, rows: int) -> str:
    """How the rows are known whose transactions aren't: those in autocommit, or of another process."""
    if not marked:
        return ""
    return f", {BY_HASH}" if marked == rows else f"; {marked:,} of them {BY_HASH}"
