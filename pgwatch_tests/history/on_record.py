"""A sweep that goes into the history when it is run, with the interface of one that doesn't."""

from __future__ import annotations

from pgwatch_tests.history.recorder import Recorder, Sweeping
from pgwatch_tests.sweep.model import SweepReport, SweepRequest


class SweepOnRecord:
    """`run` it once, in any thread; `stop` and `cancel` it from any other."""

    def __init__(self, sweep: Sweeping, request: SweepRequest, recorder: Recorder) -> None:
        self._sweep = sweep
        self._request = request
        self._recorder = recorder

    def run(self) -> SweepReport:
        """Runs and records it. Returns and raises what the sweep does."""
        return self._recorder.run(self._sweep, self._request)

    def stop(self) -> None:
        """Makes `run` return after the batch that it is at. Returns at once."""
        self._sweep.stop()

    def cancel(self) -> None:
        """Makes `run` raise within moments. Returns at once."""
        self._sweep.cancel()
