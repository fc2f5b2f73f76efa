"""One sweep of one database, from the guard to the report."""

from __future__ import annotations

from collections.abc import Callable

from pgwatch_tests.config import Settings
from pgwatch_tests.sweep.model import SweepProgress, SweepReport, SweepRequest

Progress = Callable[[SweepProgress], None]
"""Called in the thread that sweeps."""


class Sweep:
    """`run` it once, in any thread; `stop` and `cancel` it from any other."""

    def __init__(self, settings: Settings, request: SweepRequest, progress: Progress | None = None) -> None:
        self._settings = settings
        self._request = request
        self._progress = progress

    def run(self) -> SweepReport:
        """Connects, asks the guard, and removes what was asked for, or says what it would.

        Raises RefusedError (not a test database, a standby, another sweep is at it, more than `max_rows`),
        CannotConnectError, ConnectionLostError, ConfigurationError (a marker that isn't one), NotCheckedError
        (not even the catalogs can be read) and ScanCancelledError.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Makes `run` return its report after the batch that it is at. Returns at once."""

    def cancel(self) -> None:
        """Makes `run` end with ScanCancelledError within moments. Returns at once."""
