"""The options that limit how long a test's sessions wait for locks and sit idle in transactions."""

from __future__ import annotations

import pytest

from pgwatch_tests.testing.connections.time_limits import TimeLimits
from pgwatch_tests.text import durations

_LOCK, _IDLE = "pgwatch-lock-timeout", "pgwatch-idle-timeout"


def time_limits(config: pytest.Config) -> TimeLimits:
    """Returns the limits of the command line, else of the settings. Raises UsageError."""
    limits = TimeLimits(_limit(config, _LOCK), _limit(config, _IDLE))
    if limits.lock_s is not None and limits.idle_s is not None and limits.idle_s >= limits.lock_s:
        raise pytest.UsageError(
            f"--{_IDLE} must be shorter than --{_LOCK}: the test that left a transaction open is to fail, "
            "not the one that waits for it"
        )
    return limits


def _limit(config: pytest.Config, name: str) -> float | None:
    ini = name.replace("-", "_")
    for place, value in ((f"--{name}", config.getoption(f"--{name}")), (ini, config.getini(ini))):
        if value:
            try:
                limit_s = durations.parse(str(value))
            except ValueError as error:
                raise pytest.UsageError(f"{place}: {error}") from None
            # 0 turns it off, as it does in PostgreSQL.
            return limit_s or None
    return None
