"""The conductor: lets the workers play scenarios, so that some test nearly always waits for another."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from random import Random

import psycopg

from pgwatch_tests.demo.flaky_suite.repertoire import SCENARIOS
from pgwatch_tests.demo.flaky_suite.stage import Finished, InPlace, Opened, Scenario, StageMessage
from pgwatch_tests.demo.flaky_suite.worker import Cue, Play, work

_POLL_S = 0.03
_FAREWELL_S = 2.0
_DIED = "worker died"


@dataclass(slots=True, eq=False)
class _Worker:
    name: str
    process: BaseProcess
    pipe: connection.Connection[Play | Cue, StageMessage]


@dataclass(slots=True, eq=False)
class _Performance:
    """One scenario being played, a worker for each part."""

    scenario: Scenario
    seed: int
    cast: list[_Worker]
    started: int = 0
    pids: dict[int, int] = field(default_factory=dict)
    in_place: set[int] = field(default_factory=set)
    wants_cue: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)

    @property
    def awaited(self) -> int | None:
        """The part that was started last, while it neither holds, nor waits, nor is over."""
        last = self.started - 1
        return None if last in self.in_place else last

    @property
    def over(self) -> bool:
        return len(self.finished) == len(self.cast)


class Conductor:
    """Owns the workers. `runs` gives the scenarios of one run after the other."""

    def __init__(
        self, dsn: str, runs: Iterator[list[Scenario]], *, workers: int, seed: int, pace: float
    ) -> None:
        self.tests_finished = 0
        self.failures: Counter[str] = Counter()
        self._dsn = dsn
        self._runs = runs
        self._deck: list[Scenario] = []
        self._chance = Random(seed)
        self._performances: list[_Performance] = []
        self._workers: list[_Worker] = []
        for number in range(workers):
            self._workers.append(self._new_worker(f"gw{number}", pace))
        self._free = list(self._workers)
        # Only now: a connection that is open at a fork is open twice.
        self._observer = self._connect()

    def play_until_readable(self, descriptor: int) -> None:
        """Plays until `descriptor` has something to read, its end included, or all workers are dead."""
        while self._workers:
            self._begin_performances()
            awaited = any(performance.awaited is not None for performance in self._performances)
            pipes = {worker.pipe: worker for worker in self._workers}
            ready = connection.wait([descriptor, *pipes], _POLL_S if awaited else None)
            if descriptor in ready:
                return
            for worker in [worker for pipe, worker in pipes.items() if pipe in ready]:
                self._hear(worker)
            if awaited:
                self._look_who_waits()
            for performance in self._performances:
                self._advance(performance)

    def close(self) -> None:
        """Ends the workers, wherever they are."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_FAREWELL_S)
            worker.process.kill()
            worker.process.join()
        self._observer.close()

    def _new_worker(self, name: str, pace: float) -> _Worker:
        # Forked, not started anew: seven times importing SQLAlchemy takes seconds.
        ours, theirs = get_context("fork").Pipe()
        inherited = [worker.pipe for worker in self._workers] + [ours]
        process = get_context("fork").Process(
            target=_be_worker, args=(self._dsn, name, pace, theirs, inherited), name=name
        )
        process.start()
        theirs.close()
        return _Worker(name, process, ours)

    def _begin_performances(self) -> None:
        while True:
            playing = {performance.scenario.name for performance in self._performances}
            for scenario in self._deck:
                if scenario.name not in playing and len(scenario.parts) <= len(self._free):
                    self._begin(scenario)
                    break
            else:
                if self._deck:
                    return
                self._deck = next(self._runs)

    def _begin(self, scenario: Scenario) -> None:
        self._deck.remove(scenario)
        cast = self._chance.sample(self._free, len(scenario.parts))
        self._free = [worker for worker in self._free if worker not in cast]
        performance = _Performance(scenario, self._chance.randrange(10**6), cast)
        self._performances.append(performance)
        self._start_next_part(performance)

    def _start_next_part(self, performance: _Performance) -> None:
        part = performance.started
        performance.started += 1
        self._say(performance.cast[part], Play(performance.scenario.name, part, performance.seed))

    def _advance(self, performance: _Performance) -> None:
        while performance.awaited is None and performance.started < len(performance.cast):
            self._start_next_part(performance)
        if performance.awaited is None:
            for part in performance.wants_cue:
                self._say(performance.cast[part], Cue())
            performance.wants_cue.clear()
        if performance.over:
            self._performances = [other for other in self._performances if other is not performance]
            self._free += [worker for worker in performance.cast if worker in self._workers]

    def _hear(self, worker: _Worker) -> None:
        try:
            told = worker.pipe.recv()
        except (EOFError, ConnectionError):
            self._workers.remove(worker)
            self._free = [other for other in self._free if other is not worker]
            told = Finished(_DIED)
        for performance in self._performances:
            if worker in performance.cast:
                self._note(performance, performance.cast.index(worker), told)
                return

    def _note(self, performance: _Performance, part: int, told: StageMessage) -> None:
        match told:
            case Opened(pid):
                performance.pids[part] = pid
            case InPlace():
                performance.in_place.add(part)
                performance.wants_cue.add(part)
            case Finished(error):
                performance.in_place.add(part)
                performance.wants_cue.discard(part)
                performance.finished.add(part)
                self.tests_finished += 1
                if error is not None:
                    self.failures[error] += 1

    def _look_who_waits(self) -> None:
        waiting = self._waiting_pids()
        for performance in self._performances:
            part = performance.awaited
            if part is not None and performance.pids.get(part) in waiting:
                performance.in_place.add(part)

    def _waiting_pids(self) -> set[int]:
        query = "SELECT DISTINCT pid FROM pg_lock_status() AS lock WHERE NOT granted AND pid IS NOT NULL"
        try:
            return {pid for (pid,) in self._observer.execute(query)}
        except psycopg.OperationalError:
            # Somebody ended this session, as one does in a demo.
            self._observer.close()
            self._observer = self._connect()
            return set()

    def _connect(self) -> psycopg.Connection[tuple[int]]:
        return psycopg.connect(self._dsn, autocommit=True, application_name="flaky suite")

    def _say(self, worker: _Worker, what: Play | Cue) -> None:
        try:
            worker.pipe.send(what)
        except OSError:
            return  # it died; the next read from its pipe says so


def _be_worker(
    dsn: str,
    name: str,
    pace: float,
    conductor: connection.Connection[StageMessage, Play | Cue],
    inherited: list[connection.Connection[Play | Cue, StageMessage]],
) -> None:
    # A copy of a pipe's other end would keep its reader from seeing the end.
    for pipe in inherited:
        pipe.close()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    work(dsn, name, pace, conductor)


def most_parts() -> int:
    """Returns the number of workers that the largest scenario needs."""
    return max(len(scenario.parts) for scenario in SCENARIOS.values())
