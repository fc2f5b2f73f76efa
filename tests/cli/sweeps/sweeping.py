"""`pgwatch-tests`, with sweeps that only hold the lock of one, for as long as they are told to."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from pgwatch_tests import cli
from pgwatch_tests.errors import BeingSweptError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep import run
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.history.histories import report

LOCK = 4711


class Sweep:
    """Lasts half a second if it is `short`, until it is stopped if it is `long`, or longer if `deaf`."""

    lasts = "short"

    def __init__(self, settings: Settings, request: SweepRequest, progress: object = None) -> None:
        self._dsn = settings.dsn.value
        self._stopped = threading.Event()

    def run(self) -> SweepReport:
        """Raises BeingSweptError if another one is at it."""
        with psycopg.connect(self._dsn, autocommit=True, application_name="a sweep") as connection:
            if not connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() == (True,):
                raise BeingSweptError("another sweep is running")
            # It lasts for as long as it has the lock, and a moment less.
            begun = datetime.now(UTC)
            stopped = self._stopped.wait({"short": 0.5, "long": 60.0, "deaf": 60.0}[self.lasts])
            duration_s = (datetime.now(UTC) - begun).total_seconds()
            return replace(
                report(connection.info.dbname, interrupted=stopped), started_at=begun, duration_s=duration_s
            )

    def stop(self) -> None:
        """As a sweep's; one that is deaf goes on."""
        if self.lasts != "deaf":
            self._stopped.set()

    cancel = stop


if __name__ == "__main__":
    Sweep.lasts = sys.argv[1]
    run.Sweep = Sweep  # type: ignore[assignment, misc]
    sys.exit(cli.run(sys.argv[2:]))
