"""The words of verdicts on rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

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
_UNCLEAR_ADVICE = "if it only changes rows that were there before, have it restore them"


def findings_of(owner: Owner, judged: Judged, *, is_late: bool) -> Iterator[Finding]:
    """Yields what is to be told of an owner's rows in one table."""
    name = judged.found.shape.name
    such = f" ({', '.join(judged.examples)})" if judged.examples else ""
    new, unclear = judged.kinds["new"], judged.kinds["unclear"]
    if new and is_late:
        reason = f"wrote {plural(new, 'row')} into {name}{such} after it had ended"
        yield Finding("late_rows", owner, reason, _LATE_ADVICE, (name,), rows=new)
    elif new:
        elsewhere = (
            f"; by another process, as the test's hash in them says: {plural(judged.same_digest, 'row')}"
            if judged.same_digest
            else ""
        )
        advice = _TEST_ADVICE if owner.kind == "test" else _FIXTURE_ADVICE
        reason = f"left {plural(new, 'row')} in {name}{such}{elsewhere}"
        yield Finding("rows", owner, reason, advice, (name,), rows=new)
    elif unclear:
        reason = f"left or changed {plural(unclear, 'row')} in {name}{such}: which of the two isn't known"
        yield Finding("rows", owner, reason, _UNCLEAR_ADVICE, (name,), fails=False, rows=unclear)
