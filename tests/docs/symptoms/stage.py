"""What a play of docs/faq.md is given: sessions of tests, and commands whose output is kept."""

from __future__ import annotations

import re
import select
import shlex
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.cli.running import pgwatch
from tests.locks.scenarios.cast import Cast, Session
from tests.servers.sessions import RunningStatement
from tests.waiting import PATIENCE_S

BOOKINGS = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, created_at timestamptz DEFAULT now());
CREATE TABLE bookings (id serial PRIMARY KEY, user_id int REFERENCES users, slot int);
INSERT INTO users (id, email) SELECT n, n || '@test.example.com' FROM generate_series(1, 3) AS n;
"""
UPDATE = "UPDATE users SET email = 'new@test.example.com' WHERE id = 2"
DELETE = "DELETE FROM users WHERE id = 2"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Stage:
    """A cast, and a directory to run commands in."""

    cast: Cast
    home: Path
    shown: list[str] = field(default_factory=list)

    def session(self, test: str, autocommit: bool = False) -> Session:
        """A session that the test of that name uses."""
        return self.cast.session(test, autocommit=autocommit)

    def holds_up(
        self, first: str, then: str, *, holder: str = "cancels", waiter: str = "books", limit: str = ""
    ) -> tuple[Session, RunningStatement]:
        """Lets a test wait for what another has run, as long as `limit` says: the holder, and the wait."""
        self.cast.run(BOOKINGS)
        holding, waiting = self.session(holder), self.session(waiter)
        holding.execute(first.encode())
        if limit:
            waiting.execute(limit.encode())
        return holding, self.cast.waits(waiting, then)

    def needs_alone(self, test: str, statement: str) -> psycopg.Error:
        """The error of a statement that needs a database for itself, shown while it waits for others."""
        running = self.cast.needs_alone(self.session(test, autocommit=True), statement)
        return self.error_of(running)

    def error_of(self, running: RunningStatement) -> psycopg.Error:
        """Shows the locks while a statement waits. Returns the error that it ends with."""
        self.show("locks")
        return error_of(running.result)

    def show(self, *arguments: str) -> None:
        """Runs a command, as its reader would."""
        done = pgwatch(self.home, *arguments, extra={"DATABASE_URL": self.cast.dsn})
        # The directory of a socket, where it was reached.
        said = done.stdout or textwrap.fill(done.stderr, 110)
        output = said.replace(str(conninfo_to_dict(self.cast.dsn)["host"]), "localhost")
        self.shown.append(f"$ pgwatch-tests {shlex.join(arguments)}\n{output.rstrip()}")


@dataclass(frozen=True, slots=True)
class Symptom:
    """A message that people search for, and the play that leads to it."""

    name: str
    message: str
    """The server's, with `…` for names: its heading on the page."""
    play: Callable[[Stage], psycopg.Error]
    settings: Mapping[str, str]
    """If there are any, it has a server of its own with these."""

    def __str__(self) -> str:
        return self.name


SYMPTOMS: list[Symptom] = []


def symptom(
    message: str, settings: Mapping[str, str] = _NOTHING
) -> Callable[[Callable[[Stage], psycopg.Error]], Symptom]:
    """Makes a symptom of a play."""

    def made(play: Callable[[Stage], psycopg.Error]) -> Symptom:
        SYMPTOMS.append(Symptom(play.__name__.replace("_", "-"), message, play, settings))
        return SYMPTOMS[-1]

    return made


def performed(one: Symptom, cast: Cast, home: Path) -> tuple[str, str]:
    """The server's message, and what the commands printed."""
    stage = Stage(cast, home)
    error = one.play(stage)
    return str(error), "\n\n".join(stage.shown)


def comparable(output: str, database: str) -> str:
    """Output without what differs from run to run: a name, numbers, units of time, where lines are broken."""
    line = " ".join(re.sub(r"[│├└─\s-]+", " ", output.replace(database, "app_test")).split())
    # A root blocker is told to be waited for as long as it has been in its state for less than two seconds.
    line = re.sub(r"wait a moment first: .*? If it doesn't, ", "", line)
    # `912 d` is the same kind of thing as `911 d 23 h`.
    return re.sub(r"(\d[\d.,:]* ?((ms|s|min|h|d)\b)? ?)+", "0 ", line)


def error_of(statement: Callable[[], object]) -> psycopg.Error:
    """The error that a statement ends with."""
    try:
        statement()
    except psycopg.Error as error:
        return error
    raise AssertionError("it worked")


def last_words(session: Session) -> psycopg.Error:
    """The error of a session that the server has ended."""
    # Read before anything is sent: to a closed socket, that can lose what the server said.
    select.select([session.fileno()], [], [], PATIENCE_S)
    session.pgconn.consume_input()
    return error_of(lambda: session.execute("SELECT 1"))
