"""The check for leaks after a run: what is new since its baseline, by test, within the time that is left."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError, PgwatchError
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.gate import BESIDE_A_BASELINE, DEFAULT_KINDS, tellable
from pgwatch_tests.leaks.model import LeakReport, LeftoverKind
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.settings.load import Settings


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """What a check found; `report` is None if it has none. `trouble` says why, or what is missing."""

    report: LeakReport | None
    compared: bool = False
    """Whether only what is new since the baseline is in it."""
    trouble: str = ""


class LeakChecker:
    """One check, which ends when it is told to, or when its time is over."""

    def __init__(
        self,
        settings: Settings,
        since: Since | None,
        demanded: Collection[LeftoverKind],
        logs: Path | None,
        tests: Collection[str] = (),
    ) -> None:
        """`demanded` are the leftovers that a gate needs; `logs` has the transaction logs of this run.

        `tests` are ids that values may have the hash of.
        """
        if logs is not None and settings.transactions is None and any(logs.glob("*.jsonl")):
            settings = replace(settings, transactions=logs)
        self._settings = settings
        self._since = since
        self._demanded = demanded
        self._tests = tests
        self._scan: LeakScan | None = None
        self._is_cancelled = False

    def run(self, within_s: float | None) -> LeakCheck:
        """Checks, for so many seconds at most. Raises nothing that is ours to tell."""
        timer = None
        if within_s is not None:
            timer = threading.Timer(max(0.0, within_s), self.cancel)
            timer.daemon = True
            timer.start()
        try:
            try:
                return LeakCheck(self._scanned(self._since), self._since is not None)
            except ConfigurationError as error:
                if self._since is None or self._is_cancelled:
                    raise
                # Another database by now, such as one that the suite has made anew.
                return LeakCheck(self._scanned(None), trouble=str(error))
        except PgwatchError as error:
            return LeakCheck(None, trouble="it took too long" if self._is_cancelled else str(error))
        finally:
            if timer is not None:
                timer.cancel()

    def cancel(self) -> None:
        """Ends it within moments. For any thread."""
        self._is_cancelled = True
        if self._scan is not None:
            self._scan.cancel()

    def _scanned(self, since: Since | None) -> LeakReport:
        kinds = DEFAULT_KINDS if since is None else BESIDE_A_BASELINE
        content = since is not None and since.baseline.content is not None
        wanted = tellable(kinds, has_baseline=since is not None, has_content=content)
        more = tuple(kind for kind in self._demanded if kind not in wanted)
        scan = LeakScan(self._settings, None, (*wanted, *more), since, tests=self._tests)
        self._scan = scan
        if self._is_cancelled:
            scan.cancel()
        # This very run is at work still; others were told of at the beginning.
        return replace(scan.run(), live_runs=())
