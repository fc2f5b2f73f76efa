"""Whether the server that answers is still the one that answered before. Pure."""

from __future__ import annotations

from pgwatch_tests.locks.model import LockSnapshot


def server_change(before: LockSnapshot | None, now: LockSnapshot) -> str:
    """What to say of two polls that different servers answered, or one before and after a restart.

    Empty if nothing changed, or that can't be told. A standby that takes over bears the system identifier of
    the server before, but another address.
    """
    if before is None or None in (before.server_started, now.server_started):
        return ""
    if before.server_started == now.server_started:
        return ""
    ids = {before.system_identifier, now.system_identifier} - {None}
    if len(ids) > 1 or before.server != now.server:
        return (
            f"Another server answers now: {now.server} instead of {before.server}. "
            "What was seen or planned on the old one isn't done here."
        )
    return f"{now.server} was restarted. What was seen or planned before isn't done any more."
