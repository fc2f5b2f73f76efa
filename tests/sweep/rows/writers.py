"""Sessions that write all the time, as tests beside a sweep do, and how long their statements take."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import LiteralString, Self

import psycopg

from tests.sweep.rows.bookings import add_users, now_ms
from tests.waiting import PATIENCE_S, wait_until

_STATEMENTS: tuple[LiteralString, ...] = (
    "UPDATE users SET email = email WHERE id IN (%(user)s, %(real)s)",
    "UPDATE bookings SET note = 'changed' WHERE user_id IN (%(user)s, %(real)s)",
    "DELETE FROM items WHERE booking_id IN (SELECT id FROM bookings WHERE user_id = %(user)s)",
    "DELETE FROM bookings WHERE user_id = %(user)s",
    "DELETE FROM users WHERE id = %(user)s",
)


class Writers:
    """Threads, as a context manager: each adds, changes and deletes users of its own, and real ones."""

    def __init__(self, dsn: str, number: int, first_real: int = 5001) -> None:
        self._dsn = dsn
        self._first_real = first_real
        """The first of a hundred real users."""
        self._ended = threading.Event()
        self._rounds = [0] * number
        self._longest_s = [0.0] * number
        self.errors: list[psycopg.Error] = []
        self._threads = [
            threading.Thread(target=self._run, args=[place], name=f"writer {place}", daemon=True)
            for place in range(number)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    @property
    def longest_s(self) -> float:
        """The longest that one statement took, since the last `forget`: seconds."""
        return max(self._longest_s)

    @property
    def rounds(self) -> int:
        """How often all of them did everything."""
        return min(self._rounds)

    def forget(self) -> None:
        """Begins to measure anew."""
        self._longest_s = [0.0] * len(self._longest_s)

    def wait_for_rounds(self, number: int) -> None:
        """Returns once each has done everything so often again, or one has failed."""
        wanted = self.rounds + number
        wait_until(lambda: self.errors or self.rounds >= wanted)

    def _run(self, place: int) -> None:
        user = 10_000_000 * (place + 1)
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                while not self._ended.is_set():
                    user += 1
                    self._write(connection, place, user)
                    self._rounds[place] += 1
        except psycopg.Error as error:
            self.errors.append(error)

    def _write(self, connection: psycopg.Connection[tuple[object, ...]], place: int, user: int) -> None:
        begun = time.perf_counter()
        add_users(connection, user, user, at_ms=now_ms())
        # About three statements.
        self._longest_s[place] = max(self._longest_s[place], (time.perf_counter() - begun) / 3)
        real = self._first_real + (user * 7 + place) % 100
        for statement in _STATEMENTS:
            begun = time.perf_counter()
            connection.execute(statement, {"user": user, "real": real})
            self._longest_s[place] = max(self._longest_s[place], time.perf_counter() - begun)
