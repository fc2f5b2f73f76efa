"""Time limits of tests' sessions: how long one waits for a lock, and how long it sits idle in a transaction.

Each transaction gets them with its BEGIN, for itself only: nothing is left in a session that a pool hands on,
and behind a pooler nobody else's test gets them. What the suite, its role or its database sets is left alone.
Sources: PostgreSQL manual, Client Connection Defaults (lock_timeout, idle_in_transaction_session_timeout).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds; None: no limit of ours."""

    lock_s: float | None = None
    idle_s: float | None = None

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return self.lock_s is not None or self.idle_s is not None

    def statement(self, *, local: bool) -> str:
        """Returns the statement that sets them where they are 0: `local`, for its transaction only."""
        is_local = "true" if local else "false"
        # 0 is the default: no limit.
        set_each = (
            f"CASE WHEN pg_catalog.current_setting('{name}') OPERATOR(pg_catalog.=) '0' "
            f"THEN pg_catalog.set_config('{name}', '{milliseconds}', {is_local}) END"
            for name, milliseconds in self.settings.items()
        )
        return f"SELECT {', '.join(set_each)}"

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings, in milliseconds, as the server shows them."""
        limits_s = {"lock_timeout": self.lock_s, "idle_in_transaction_session_timeout": self.idle_s}
        # At least one, since 0 would be no limit.
        return {
            name: str(max(1, round(limit_s * 1000)))
            for name, limit_s in limits_s.items()
            if limit_s is not None
        }


NO_LIMITS = TimeLimits()
