"""Tones of ages: of a wait for a lock, of an open transaction that runs nothing. Pure."""

from __future__ import annotations

from pgwatch_tests.text.toned_text import Tone

NOTICE_S = 1.0
"""The default of deadlock_timeout: the server itself looks into a wait that is so old."""
WARNING_S = 5.0
"""The default limit of a test of Vitest and Jest, and of an assertion of Playwright."""
TROUBLE_S = 10.0
"""The default limit of a hook of Vitest: longer waits fail set-up and clean-up too."""


def of_wait(wait_s: float | None) -> Tone:
    """The tone of a wait of that many seconds; plain if that isn't known."""
    if wait_s is None or wait_s < NOTICE_S:
        return ""
    return "notice" if wait_s < WARNING_S else "warning" if wait_s < TROUBLE_S else "trouble"


def of_idle_transaction(age_s: float | None) -> Tone:
    """The tone of a transaction that has been idle for that many seconds.

    A test between two statements is, for a moment.
    """
    if age_s is None or age_s < NOTICE_S:
        return "notice"
    return "warning" if age_s < TROUBLE_S else "trouble"
