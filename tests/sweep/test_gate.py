"""What `sweep --fail` makes of a report."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from pgwatch_tests.sweep.gate import verdict
from pgwatch_tests.sweep.model import WAITING, Kept, KeptReason, Orphan
from tests.sweep.reports import NOTHING, ORPHANS, ROWS


@pytest.mark.parametrize("reason", get_args(KeptReason))
def test_what_passes_by_itself_is_no_finding(reason: KeptReason) -> None:
    expected = "clean" if reason in WAITING else "incomplete" if reason == "not_checked" else "findings"

    assert verdict([replace(NOTHING, kept=(Kept("public", "users", 1, reason),))]) == expected
    assert verdict([NOTHING, replace(NOTHING, orphans=(Orphan("schemas", "x", False, reason),))]) == expected


def test_what_goes_is_no_finding() -> None:
    assert verdict([replace(NOTHING, planned=ROWS, orphans=ORPHANS)]) == "clean"
    assert verdict([]) == "clean"


def test_what_was_not_seen_is_incomplete_unless_there_are_findings() -> None:
    unchecked = replace(NOTHING, not_checked=("a table",))

    assert verdict([NOTHING, unchecked]) == "incomplete"
    assert verdict([NOTHING], all_reached=False) == "incomplete"
    assert verdict([replace(NOTHING, error="lost")]) == "incomplete"
    assert verdict([replace(unchecked, kept=(Kept("s", "t", 1, "refused"),))], False) == "findings"
