"""Deferred constraints of a database: the statements that check them where a COMMIT would.

At COMMIT the server checks what is deferred, and the next transaction defers again what is declared so
(PostgreSQL manual, SET CONSTRAINTS). A savepoint that is released checks nothing. What pending constraint
triggers write stays, as it does after a COMMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.postgres import queries
from pgwatch_tests.testing.isolation.rollbacks.driver_statements import Run
from pgwatch_tests.text.sql_names import qualified

CHECK = "SET CONSTRAINTS ALL IMMEDIATE"
_AT_ONCE_NS = 1_000_000
"""A table with a foreign key and its COMMIT take longer, also on a fast machine."""
_ASK_AGAIN_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Known:
    newest: object
    checks: tuple[str, ...]


class DeferredConstraints:
    """The deferrable constraints of the database of an engine, asked again once there may be newer ones.

    Between two tests that follow each other within 1 ms, hardly anybody has made a table; each second it is
    looked for in any case.
    """

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._left_ns = 0
        self._asked_ns = 0

    def known(self) -> tuple[str, ...] | None:
        """Returns the statements that `checks` returns, if they can't be others by now; None: ask."""
        now_ns = real_time_ns()
        if now_ns - self._left_ns > _AT_ONCE_NS or now_ns - self._asked_ns > _ASK_AGAIN_NS:
            return None
        if self._known is None:
            return None
        return self._known.checks

    def checks(self, run: Run, first: Sequence[str] = ()) -> tuple[str, ...]:
        """Runs `first`; returns the statements that do what COMMIT does to constraints.

        None if there are no deferrable ones. The first statement checks, and raises what a COMMIT would. The
        others make the constraints as they are at the beginning of a transaction.
        """
        newest = run(*first, queries.load("rollback/newest_constraint"))[0][0]
        if self._known is None or self._known.newest != newest:
            self._known = _Known(newest, _checks(run(queries.load("rollback/deferrable_constraints"))))
        self._asked_ns = real_time_ns()
        return self._known.checks

    def leave(self, *, changed: bool) -> None:
        """Notes that a test ends. With `changed`, it has made or dropped some, which is undone."""
        self._left_ns = real_time_ns()
        if changed:
            self._known = None


_of_engines: WeakKeyDictionary[object, DeferredConstraints] = WeakKeyDictionary()


def of_engine(engine: object) -> DeferredConstraints:
    """Returns what is known of an engine's database, shared by all tests."""
    return _of_engines.setdefault(engine, DeferredConstraints())


def _checks(rows: Sequence[Sequence[object]]) -> tuple[str, ...]:
    constraints = cast("Sequence[tuple[str, str, bool]]", rows)
    if not constraints:
        return ()
    if not any(deferred for *_, deferred in constraints):
        return (CHECK,)
    # Named are those that aren't deferred at first, since IMMEDIATE passes over constraints of the same name
    # that can't be deferred, and DEFERRED doesn't (AfterTriggerSetState, src/backend/commands/trigger.c).
    immediate = [qualified(schema, name) for schema, name, deferred in constraints if not deferred]
    again = ("SET CONSTRAINTS ALL DEFERRED",)
    return (CHECK, *again, *((f"SET CONSTRAINTS {', '.join(immediate)} IMMEDIATE",) if immediate else ()))
