"""Words of verdicts on rows: how they are known, and examples that don't pass for all. Pure."""

from __future__ import annotations

from collections import Counter

from pgwatch_tests.pytest_plugin.verdicts.judge import Judged
from pgwatch_tests.pytest_plugin.verdicts.look import FoundRows
from pgwatch_tests.pytest_plugin.verdicts.words import findings_of, such_as
from tests.pytest_plugin.verdicts.test_pending_commits import OWNER, shape


def reason(new: int, marked: int) -> str:
    """The reason of the finding on so many new rows, of which so many are known by the test's hash alone."""
    found = FoundRows(shape(), rows=new)
    judged = Judged(found, Counter({"new": new}), ["id=1", "id=2", "id=3"][:new], same_digest=marked)
    [one] = findings_of(OWNER, judged, is_late=False)
    return one.reason


def test_how_rows_without_a_known_transaction_are_known() -> None:
    # Whether they are of a session in autocommit or of another process isn't known.
    assert reason(2, 0) == "left 2 rows in public.users (id=1, id=2)"
    assert reason(2, 2) == "left 2 rows in public.users (id=1, id=2), known by the test's hash in them"
    assert reason(4, 3) == (
        "left 4 rows in public.users (id=1, id=2, id=3, …); 3 of them known by the test's hash in them"
    )


def test_examples_say_that_there_are_more() -> None:
    assert such_as([], 3) == ""
    assert such_as(["id=1", "id=2"], 2) == " (id=1, id=2)"
    assert such_as(["id=1", "id=2"], 3) == " (id=1, id=2, …)"
