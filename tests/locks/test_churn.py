"""No deadlock is reported where none can be, however fast the waits change."""

from __future__ import annotations

from tests.locks.churn import churn
from tests.servers.sessions import Database


def test_churn_shows_no_deadlock(database: Database) -> None:
    found = churn(database.dsn, workers=14, seconds=5, pauses_s=(0.25, 0.02))
    assert found.polls_with_waits > found.polls / 10, "the workers are in each other's way"
    assert found.server_deadlocks == 0
    assert (found.deadlocks, found.lasting_probable) == (0, 0)
