"""The stage of a test of the flaky suite: its session and messages to the conductor."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgwatch_tests.identity.application_name import compose


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker says: my test's session is this backend."""

    pid: int


@dataclass(frozen=True, slots=True)
class InPlace:
    """A worker says: my test holds what others are going to wait for."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A worker says: my test is over; `error` is the name of the database error that it failed with."""

    error: str | None


StageMessage = Opened | InPlace | Finished


@dataclass(frozen=True, slots=True)
class ScenarioTest:
    """One test of a scenario: its id, and what it does."""

    test: str
    play: Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Tests that get in each other's way. Each starts when the one before holds, waits or is over."""

    name: str
    parts: tuple[ScenarioTest, ...]


class Stage:
    """One test's view: its session, chance, and time. `seed` is the same for all tests of a scenario."""

    def __init__(
        self,
        dsn: str,
        worker: str,
        test: str,
        seed: int,
        pace: float,
        tell: Callable[[StageMessage], None],
        wait_for_cue: Callable[[], object],
    ) -> None:
        self.seed = seed
        self.chance = Random(f"{seed} {test}")
        self._dsn = dsn
        self._name = compose("pytest", worker, test)
        self._pace = pace
        self._tell = tell
        self._wait_for_cue = wait_for_cue

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session named after the test; rolled back at the end, unless the test commits."""
        with Session(self._engine()) as session:
            driver_connection = session.connection().connection.driver_connection
            assert isinstance(driver_connection, psycopg.Connection)
            self._tell(Opened(driver_connection.info.backend_pid))
            yield session

    def run_outside_transaction(self, statement: str) -> None:
        """Executes what PostgreSQL refuses inside a transaction block."""
        with self._engine().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(statement)

    def hold(self, least_s: float, most_s: float) -> None:
        """Keeps what the test holds: until all others are in place, and some time more."""
        self._tell(InPlace())
        self._wait_for_cue()
        self.rest(least_s, most_s)

    def meet(self) -> None:
        """Waits until all tests of the scenario hold what they hold."""
        self._tell(InPlace())
        self._wait_for_cue()

    def rest(self, least_s: float, most_s: float) -> None:
        """Does something that needs no database."""
        time.sleep(self.some_time_s(least_s, most_s))

    def some_time_s(self, least_s: float, most_s: float) -> float:
        """A duration by chance, at the suite's pace."""
        return self._pace * self.chance.uniform(least_s, most_s)

    def new_id(self, prefix: str) -> str:
        """A value that no other test has: `<prefix>_<ms>_<random>`."""
        return f"{prefix}_{time.time_ns() // 1_000_000}_{uuid.uuid4().hex[:8]}"

    def new_email(self, prefix: str) -> str:
        """An address that no other test has."""
        return f"{prefix}-{time.time_ns() // 1_000_000}-{uuid.uuid4().hex[:8]}@test.example.com"

    def _engine(self) -> Engine:
        # psycopg reads the DSN itself: SQLAlchemy's own URL doesn't know all of libpq's forms.
        connect = partial(psycopg.connect, self._dsn, application_name=self._name)
        return create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
