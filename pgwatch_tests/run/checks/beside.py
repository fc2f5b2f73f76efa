"""What begins beside a run's command: its lease and its baseline, in threads that hold nobody up.

Loading the database driver alone takes longer than a command may be made to wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.settings.load import Settings

if TYPE_CHECKING:
    from pgwatch_tests.run.checks.first_baseline import FirstBaseline
    from pgwatch_tests.run.database.alone import RunLease

_LOOK_EVERY_S = 0.01
_ROOM_KNOWN_WITHIN_S = 0.3
_LOAD_AFTER_S = 1.0
"""A command that has just begun loads modules of its own."""
_AFTER = tuple(
    f"pgwatch_tests.run.{name}" for name in ("aftermath", "outcome.recorded", "outcome.closing_words")
)


class Beside:
    """Begins at once; nothing of it raises."""

    def __init__(
        self, settings: Settings, facts: RunFacts, tell: Callable[[str], None], lease: RunLease | None
    ) -> None:
        """`lease`: one that is held already, by a run that wanted to be alone."""
        self._settings = settings
        self._facts = facts
        self._tell = tell
        self._command_began: float | None = None
        self.lease = lease
        self.baseline: FirstBaseline | None = None
        self.trouble = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._begin, name="pgwatch-tests beside", daemon=True)
        self._thread.start()

    def wait(self, until: float) -> None:
        """Waits until both are there, or are known not to be, at most until then (`time.monotonic`)."""
        while not self._is_decided and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)

    def command_begins(self) -> None:
        """The command is about to begin."""
        self._command_began = time.monotonic()

    def release(self, within_s: float) -> None:
        """Gives the lease back."""
        self._ended.set()
        if self.baseline is not None:
            self.baseline.stop()
        if self.lease is not None:
            self.lease.release(within_s)

    def troubles(self, *, checked: bool) -> list[str]:
        """Returns sentences on what went wrong; `checked`: the server could be reached in the end."""
        told = [self.trouble] if self.trouble else []
        if checked and self.lease is not None and self.lease.trouble:
            told.append(
                "the lease wasn't held all the time, so sweeps may have taken this run's rows for old ones: "
                f"{self.lease.trouble}"
            )
        return told

    @property
    def _is_decided(self) -> bool:
        lease, baseline = self.lease, self.baseline
        if lease is None or baseline is None:
            return False
        return baseline.decided.is_set() and (lease.is_held or bool(lease.trouble))

    def _begin(self) -> None:
        try:
            from pgwatch_tests.run.checks.first_baseline import FirstBaseline

            baseline = FirstBaseline(self._settings, lambda: self._command_began)
            stays_away = False
            if self.lease is None:
                from pgwatch_tests.run.database.alone import RunLease, announcement_of

                self.lease = RunLease(self._settings, announcement_of(self._facts), self._tell)
                self.lease.keep()
                stays_away = self.lease.stays_away(_ROOM_KNOWN_WITHIN_S)
            self.baseline = baseline
            if stays_away:
                # No session of ours is to be in the way of tests that may have only a few.
                baseline.give_up("the role may have only a few sessions at once")
            else:
                baseline.run()
            self._load_what_comes_after()
        except Exception as error:  # noqa: BLE001  # the suite's result counts, not ours
            self.trouble = f"internal error, please report it: {error!r}"

    def _load_what_comes_after(self) -> None:
        """Loads modules while the command runs, so that its end isn't followed by a second of that."""
        if not self._ended.wait(_LOAD_AFTER_S):
            for name in _AFTER:
                import_module(name)
