"""The baseline of a run: the state of the database before its command, taken beside its start.

The command isn't held up: one that is taken a moment late counts only if no session that is there has come to
the database since the command began. A session that came and went before leaves no trace on the server that
tells when: the report says that what it left counts as older.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import psycopg

from pgwatch_tests.errors import CannotConnectError, PgwatchError
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings

_PAUSES_S = (0.1, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class _Came:
    """The row of queries/run/sessions_since.sql."""

    sessions: int


class FirstBaseline:
    """Takes the baseline, in whatever thread calls `run`; a server that isn't there yet is asked again."""

    def __init__(self, settings: Settings, began: Callable[[], float | None]) -> None:
        """`began` tells when the command began, by `time.monotonic`; None as long as it hasn't."""
        self._settings = settings
        self._began = began
        self._stop = threading.Event()
        self.decided = threading.Event()
        """Set once it is taken, or the first attempt has failed."""
        self.baseline: Baseline | None = None
        self.trouble = ""
        """Why there is none, in a clause."""
        self.late_s: float | None = None
        """How many seconds after the command's start it was taken; None: before it."""

    def stop(self) -> None:
        """Gives it up, if it isn't taken yet."""
        self._stop.set()

    def give_up(self, trouble: str) -> None:
        """Doesn't even begin, for this reason."""
        self.trouble = trouble
        self.decided.set()

    def run(self) -> None:
        """Takes it, or gives it up. Raises nothing."""
        pauses_s = iter(_PAUSES_S)
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            pause_s = next(pauses_s, _PAUSES_S[-1])
            try:
                self._take()
            except CannotConnectError as error:
                self.trouble = str(error)
                continue
            except (PgwatchError, psycopg.Error, OSError) as error:
                self.trouble = str(error)
            finally:
                self.decided.set()
            return

    def _take(self) -> None:
        baseline = take(self._settings)
        began = self._began()
        if began is None:
            self.baseline, self.trouble = baseline, ""
            return
        late_s = time.monotonic() - began
        if self._sessions_since(late_s):
            self.trouble = f"it was ready {late_s:.1f} s after the command began, with sessions at work"
        elif not self._stop.is_set():
            self.baseline, self.late_s, self.trouble = baseline, late_s, ""

    def _sessions_since(self, seconds: float) -> bool:
        with closing(DatabaseSession(self._settings)) as session:
            session.open()
            return session.ask("run/sessions_since", _Came, {"seconds": seconds})[0].sessions > 0
