"""A sweep as short lines: what the table's columns say apart is said once."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.reports.sweeps import sweep_lines
from pgwatch_tests.sweep.model import Orphan
from tests.sweep.reports import NOTHING


def test_an_age_is_told_once() -> None:
    young = Orphan("prepared", "gid-1", False, "too_young", "4.3 s old", 4.3)
    orphans = (young, Orphan("schemas", "test_1", True, age_s=7500.0))

    lines = sweep_lines.lines(replace(NOTHING, orphans=orphans))

    assert "  prepared transaction gid-1: kept: too young, 4.3 s old" in lines
    assert any(line.startswith("  schema test_1: ") and line.endswith(" old") for line in lines)
