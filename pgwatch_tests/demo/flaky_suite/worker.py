"""One worker process of the flaky suite: plays the tests that the conductor gives it."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from sqlalchemy.exc import DBAPIError

from pgwatch_tests.demo.flaky_suite.repertoire import SCENARIOS
from pgwatch_tests.demo.flaky_suite.stage import Finished, Stage, StageMessage


@dataclass(frozen=True, slots=True)
class Play:
    """The conductor says: play this part of this scenario."""

    scenario: str
    part: int
    seed: int


@dataclass(frozen=True, slots=True)
class Cue:
    """The conductor says: all tests of your scenario are in place."""


def work(dsn: str, name: str, pace: float, conductor: Connection[StageMessage, Play | Cue]) -> None:
    """Plays until the conductor is gone."""
    plays: queue.SimpleQueue[Play] = queue.SimpleQueue()
    cues: queue.SimpleQueue[Cue] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(conductor, plays, cues), daemon=True).start()
    while True:
        play = plays.get()
        part = SCENARIOS[play.scenario].parts[play.part]
        stage = Stage(dsn, name, part.test, play.seed, pace, conductor.send, cues.get)
        conductor.send(Finished(_failure_of(part.play, stage)))


def _failure_of(test: Callable[[Stage], None], stage: Stage) -> str | None:
    """Runs a test; the name of its database error, if it fails with one."""
    try:
        test(stage)
    except DBAPIError as error:
        return type(error.orig).__name__
    return None


def _listen(
    conductor: Connection[StageMessage, Play | Cue],
    plays: queue.SimpleQueue[Play],
    cues: queue.SimpleQueue[Cue],
) -> None:
    """Sorts what the conductor says; ends the process with it, even in the middle of a blocked statement."""
    while True:
        try:
            said = conductor.recv()
        except (EOFError, ConnectionError):
            os._exit(0)
        if isinstance(said, Play):
            plays.put(said)
        else:
            cues.put(said)
