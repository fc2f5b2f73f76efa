"""Exit codes: of a gate's verdict, of signals, and of the errors that end a command.

Every error's message is one line that says what to do; none carries a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

Verdict = Literal["findings", "incomplete", "clean"]
"""What a gate says: `incomplete` if something couldn't be checked, and nothing was found."""
EXIT_CODES: Mapping[Verdict, int] = MappingProxyType({"clean": 0, "findings": 1, "incomplete": 4})
INTERNAL_ERROR = 70
INTERRUPTED = 130
SIGNALLED = 128
"""And the signal's number: the exit code of what it ended."""


class PgwatchError(Exception):
    """Base of all errors that the user is told in one line."""

    exit_code: ClassVar[int] = 2


class ConfigurationError(PgwatchError):
    """A flag, an environment variable, a setting or a guard says no: exit 2."""


class RefusedError(PgwatchError):
    """What was asked for isn't done: a guard forbids it, or what it was about isn't there: exit 2."""


class LeaseTakenError(RefusedError):
    """Somebody else holds the lease that was asked for: exit 2."""


class BeingSweptError(RefusedError):
    """Another sweep is at work in the database, so this one does nothing: exit 2."""


class HistoryError(PgwatchError):
    """The history of sweeps can't be read or written, which makes no sweep a failed one: exit 2."""


class HistoryUnreachableError(HistoryError):
    """The server that the history is on can't be reached: exit 3."""

    exit_code = 3


class RecordingError(PgwatchError):
    """A recording can't be read or written, is damaged, or of a newer version: exit 2."""


class CannotConnectError(PgwatchError):
    """No connection could be made: exit 3."""

    exit_code = 3


class NoAnswerError(CannotConnectError):
    """No connection could be made in time: nobody there, or a locked catalog keeps everybody out: exit 3."""


class NoSlotError(CannotConnectError):
    """No connection could be made, since a limit of connections is used up: exit 3."""


class ConnectionLostError(PgwatchError):
    """The connection was there and went away, or the server stopped answering: exit 3."""

    exit_code = 3


class GaveWayError(ConnectionLostError):
    """The session left the database to somebody who drops, alters or copies it: exit 3."""


class WorkCancelledError(PgwatchError):
    """A scan or sweep was told to end before it was done: exit 130."""

    exit_code = INTERRUPTED


class NotCheckedError(PgwatchError):
    """Something needed couldn't be read at all, so there is no verdict: exit 4."""

    exit_code = 4
