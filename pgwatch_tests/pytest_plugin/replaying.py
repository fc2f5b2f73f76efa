"""`--pgwatch-replay`: `interleave` runs one schedule, by its id; the summary says whether any call did."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from pgwatch_tests.testing.interleaving.schedules.schedule import parse
from pgwatch_tests.text.numbers import plural

REPLAY_VARIABLE = "PGWATCH_REPLAY"
_INTERLEAVE = "pgwatch_tests.testing.interleaving.interleave"
_OUTPUT = "pgwatch_replays"


class Replaying:
    """The hooks of a run with `--pgwatch-replay`."""

    def __init__(self, schedule_id: str) -> None:
        """Raises pytest.UsageError for what isn't the id of a schedule."""
        try:
            parse(schedule_id)
        except ValueError as error:
            raise pytest.UsageError(f"--pgwatch-replay: {error}") from None
        self._id = schedule_id.strip()
        self._before = os.environ.get(REPLAY_VARIABLE)
        self._calls = self._diverged = 0
        os.environ[REPLAY_VARIABLE] = self._id

    def pytest_unconfigure(self) -> None:
        """Gives the environment back."""
        if self._before is None:
            os.environ.pop(REPLAY_VARIABLE, None)
        else:
            os.environ[REPLAY_VARIABLE] = self._before

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Counts the calls of this process; a worker tells them to its controller."""
        # Tests that never call it don't import it.
        interleave = sys.modules.get(_INTERLEAVE)
        if interleave is not None:
            self._calls += interleave.asked_replays.calls
            self._diverged += interleave.asked_replays.diverged
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = (self._calls, self._diverged)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Adds the calls of a worker. One that was killed has told none."""
        calls, diverged = getattr(node, "workeroutput", {}).get(_OUTPUT, (0, 0))
        self._calls += calls
        self._diverged += diverged

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says what was replayed."""
        replayed = self._calls - self._diverged
        if not self._calls:
            text = "nothing was replayed: no test of this run called interleave"
        elif not replayed:
            text = f"nothing was replayed: {plural(self._calls, 'call')} of interleave made other steps"
        else:
            text = f"replayed in {plural(replayed, 'call')} of interleave"
            if self._diverged:
                text += f"; {plural(self._diverged, 'other call')} made other steps: select its test alone"
        terminalreporter.write_line(f"--pgwatch-replay={self._id}: {text}", yellow=not replayed)
