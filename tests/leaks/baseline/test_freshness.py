"""When statistics may be believed, by what other sessions do."""

from __future__ import annotations

import pytest

from pgwatch_tests.leaks.baseline.comparison import QUIET_S, OtherSession, barrier


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (OtherSession(7, "client backend", "idle", 10.9), "session 7 has been idle for less than 11 s"),
        (OtherSession(7, "client backend", "idle", None), "session 7 has been idle for less than 11 s"),
        (OtherSession(7, "client backend", "idle in transaction", 999.0), "session 7 is idle in transaction"),
        (OtherSession(7, "client backend", "active", 999.0), "session 7 is active"),
        (OtherSession(7, "client backend", "disabled", None), "session 7 is disabled"),
        (OtherSession(7, "client backend", None, None), "session 7 is starting"),
        (OtherSession(7, None, None, None), "the state of session 7 is hidden from this role"),
        (OtherSession(7, "parallel worker", "active", 1.0), "a parallel worker is at work (pid 7)"),
        (
            OtherSession(7, "logical replication worker", "idle", 99.0),
            "a logical replication worker is at work",
        ),
        (OtherSession(7, "walsender", "active", 99.0), "a walsender is at work"),
    ],
)
def test_who_is_in_the_way(session: OtherSession, reason: str) -> None:
    quiet = OtherSession(6, "client backend", "idle", QUIET_S)

    assert barrier([quiet, session]).reason.startswith(reason)
    assert barrier([quiet, session, session]).reason.endswith("and 1 more")


def test_nobody_is_in_the_way() -> None:
    assert barrier([]).reason == ""
    assert barrier([OtherSession(6, "client backend", "idle", QUIET_S)]).reason == ""


def test_how_long_to_wait_before_looking_again() -> None:
    idle = OtherSession(1, "client backend", "idle", 3.0)
    busy = OtherSession(2, "client backend", "active", 3.0)

    assert barrier([idle]).wait_s == QUIET_S - 3.0
    assert barrier([idle, busy]).wait_s < 1
    assert 0 < barrier([OtherSession(1, "client backend", "idle", 10.9999)]).wait_s < 1
