"""What tests of leftovers share."""

from __future__ import annotations

import pytest

from pgwatch_tests.leaks import leftovers


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions count as soon as they are idle in a transaction."""
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)
