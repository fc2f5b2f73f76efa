"""Examples of what was found, shortened: even test data may be somebody's."""

from __future__ import annotations

from datetime import UTC, datetime

LIMIT = 40
_MOST_OF_A_LOCAL_PART = 6


def shortened(value: str) -> str:
    """At most LIMIT characters of a value; of an address, no more than the beginning of its local part."""
    local, at, domain = value.rpartition("@")
    if at:
        value = f"{local[: min(_MOST_OF_A_LOCAL_PART, len(local) // 2)]}…@{domain}"
    return value if len(value) <= LIMIT else value[: LIMIT - 1] + "…"


def time_of(epoch_s: float | None) -> datetime | None:
    """A time in seconds since 1970, as the server has it; None beyond the years that Python has."""
    if epoch_s is None:
        return None
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError):
        return None
