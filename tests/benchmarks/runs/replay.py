"""How long `replay` takes to its first picture of a recording of 100 MB, and to any other moment of it.

    python -m tests.benchmarks.runs.replay

In processor time, which a busy machine lengthens less than other time. The recording is made first, without a
server: sessions whose statements are all different, so that a minute of it is as large as a minute can be.
"""

from __future__ import annotations

import argparse
import random
import string
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.replay.source import opened
from tests.benchmarks import programs
from tests.benchmarks.measure import interleave, table, verdict
from tests.benchmarks.terminal import TerminalProgram
from tests.record.recordings import BEGAN, story

_OPENED_WITHIN_MS = 1000.0
_SEEKS_WITHIN_MS = 100.0
_EMPTY, _FIRST = "empty dashboard", "first picture"
_SESSIONS = 50
_STATEMENT = 200
_STORY_S = 20.25


def main() -> None:
    """Prints medians and the budgets."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.runs.replay", description=__doc__)
    parser.add_argument("--file", type=Path, help="a recording that is there")
    parser.add_argument("--megabytes", type=float, default=100.0, help="of the one that is made")
    parser.add_argument("--rounds", type=int, default=5, help="starts (default: %(default)s)")
    parser.add_argument("--seeks", type=int, default=50, help="moments (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = options.file or make(Path(name) / "large.pgwatch", options.megabytes)
        print(f"{file.stat().st_size / 1e6:.0f} MB")
        cases = {_EMPTY: _in_ms(_empty_dashboard_s), _FIRST: _in_ms(partial(_first_picture_s, file))}
        samples = interleave(cases, options.rounds)
        print(table(samples, "ms", _EMPTY))
        beyond_ms = samples.median(_FIRST) - samples.median(_EMPTY)
        print(verdict("first picture beyond an empty dashboard, ms", beyond_ms, _OPENED_WITHIN_MS))
        seeks_ms = sorted(_seeks_ms(file, options.seeks))
        print(verdict("seek, ms, median", seeks_ms[len(seeks_ms) // 2], _SEEKS_WITHIN_MS))
        print(f"seek, ms, worst of {len(seeks_ms)}: {seeks_ms[-1]:.0f}")


def make(path: Path, megabytes: float) -> Path:
    """Writes the story of the tests over and over, beside sessions that never do the same."""
    chance = random.Random(7)
    letters = "".join(chance.choices(string.ascii_lowercase, k=200_000))
    polls = list(story())
    now_s = 0.0
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: now_s) as writer:
        for turn in count():
            later = timedelta(seconds=_STORY_S * turn)
            for poll in polls:
                busy_one = replace(poll.sessions[0], state="active")
                busy = tuple(
                    replace(busy_one, pid=1000 + number, query=_statement(letters, chance))
                    for number in range(_SESSIONS)
                )
                groups = tuple(
                    replace(
                        one,
                        wait=one.wait
                        and replace(one.wait, started=one.wait.started and one.wait.started + later),
                    )
                    for one in poll.groups
                )
                snapshot = replace(
                    poll, sampled_at=poll.sampled_at + later, sessions=poll.sessions + busy, groups=groups
                )
                now_s = (snapshot.sampled_at - BEGAN).total_seconds()
                writer.add(snapshot, snapshot.sampled_at.timestamp())
            if path.stat().st_size >= megabytes * 1e6:
                return path
    raise AssertionError("it grows")


def _in_ms(seconds: Callable[[], float]) -> Callable[[], float]:
    return lambda: 1000 * seconds()


def _statement(letters: str, chance: random.Random) -> str:
    place = chance.randrange(len(letters) - _STATEMENT)
    return f"SELECT {letters[place : place + _STATEMENT]}"


def _first_picture_s(file: Path) -> float:
    """Seconds of processor time from the start until the figures of a sample are drawn."""
    command = programs.ours("replay", str(file))
    with TerminalProgram(command, programs.environment()) as program:
        program.wait_for(rb"\d blocked")
        return program.cpu_s()


def _empty_dashboard_s() -> float:
    """Seconds of processor time until a dashboard that knows nothing yet is drawn."""
    command = programs.ours("dashboard", "--dsn", "postgresql://localhost:1/none")
    with TerminalProgram(command, programs.environment()) as program:
        program.wait_for(rb"Connecting|Not connected")
        return program.cpu_s()


def _seeks_ms(file: Path, seeks: int) -> list[float]:
    chance = random.Random(3)
    took_ms = []
    with opened([file]) as source:
        for _ in range(seeks):
            moment = source.began + (source.until - source.began) * chance.random()
            began_s = time.process_time()
            source.picture(moment)
            took_ms.append(1000 * (time.process_time() - began_s))
    return took_ms


if __name__ == "__main__":
    main()
