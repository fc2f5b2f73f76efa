"""What a session waits for besides locks, from its wait event, in words.

The types of wait events are those of the PostgreSQL manual, Monitoring Database Activity, table "Wait Event
Types".
"""

from __future__ import annotations

from pgwatch_tests.locks.model import Session

_BY_TYPE = {
    "LWLock": "internal lock",
    # Of one that lasts, the lock itself is told.
    "Lock": "brief lock",
    "BufferPin": "buffer pin",
    "IO": "disk",
    "IPC": "another process",
    "Timeout": "timer",
    "Extension": "extension",
    "InjectionPoint": "injection point",
}
_ITS_CLIENT = ("ClientRead", "ClientWrite")


def waits_for(session: Session) -> str:
    """`its client`, `internal lock WALWrite`, `disk DataFileRead`; `CPU` for one that waits for nothing.

    Empty for an idle session, whose next statement its client hasn't sent, and for a hidden one. The event's
    name is the server's, or an extension's: text to be made plain.
    """
    event, kind = session.wait_event or "", session.wait_event_type
    if session.hidden or session.state != "active":
        return ""
    if kind is None:
        return "CPU"
    if kind == "Client":
        return "its client" if event in _ITS_CLIENT else f"network {event}".rstrip()
    if kind == "Activity":
        return ""
    return f"{_BY_TYPE.get(kind, kind)} {event}".rstrip()
