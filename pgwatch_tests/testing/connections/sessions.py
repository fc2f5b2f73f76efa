"""Sessions of tests, whatever their driver: named after the test that uses them, their commits told.

What is added to a session's own statements goes along in the same round trip:

    BEGIN   ->  BEGIN;SET application_name TO 'pytest:gw0 …';COMMIT;BEGIN       if the test is another one
    COMMIT  ->  SELECT pg_catalog.pg_current_xact_id_if_assigned(), …;COMMIT

A SET in the test's own transaction would be undone by its ROLLBACK (PostgreSQL manual, SET); one in a
transaction of its own isn't. In autocommit mode the SET goes ahead, once for each session and test. Behind a
pooler, where a setting would meet somebody else's test, it is SET LOCAL in each transaction.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.commits import Commit, Commits, ServedDatabase, UnknownReason
from pgwatch_tests.testing.connections.session_state import SessionState
from pgwatch_tests.testing.connections.statements import Statement, statement
from pgwatch_tests.testing.connections.time_limits import NO_LIMITS, TimeLimits
from pgwatch_tests.testing.connections.writes import Written, calls_of, makes_savepoint, written_by
from pgwatch_tests.testing.current_test import Owner, current

Row = Sequence[str | None]
C = TypeVar("C")

ASK_PID = "SELECT pg_catalog.pg_backend_pid()"
_ASK_XID = "SELECT pg_catalog.pg_current_xact_id_if_assigned()"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
# As such, it waits for no snapshot, whatever the session's default.
_FLUSH = ", pg_catalog.pg_stat_force_next_flush()"
_FIRST_WITH_IDS, _FIRST_WITH_FLUSH = 130000, 150000


class TestSession:
    """A session of a test: where it is, whom its transaction is put down to, and who has used it."""

    __test__ = False

    __slots__ = (
        "ask_xid",
        "calls",
        "database",
        "flushes",
        "has_failed",
        "has_limits",
        "has_savepoints",
        "is_of_pool",
        "is_pooled",
        "opened_by",
        "owner",
        "state",
        "users",
        "written",
    )

    def __init__(self, database: ServedDatabase, server_version: int) -> None:
        """`server_version` is 180004 for 18.4; 0 if it isn't PostgreSQL."""
        self.database = database
        self.is_pooled: bool | None = None
        """Whether a pooler is in between, whose sessions go to others with each COMMIT; None: not asked."""
        self.is_of_pool = False
        """Whether a pool of the suite's keeps it."""
        self.opened_by: Owner | None = None
        self.users: set[int] = set()
        """The numbers of the owners of its transactions."""
        self.owner: Owner | None = None
        """Whom its transaction is put down to."""
        self.state = SessionState()
        self.has_failed = False
        """Whether the server took no statement of ours: no other is sent."""
        self.has_savepoints = False
        """Whether there were subtransactions in its transaction, as far as its statements say."""
        self.written: set[Written] = set()
        """What the statements of its transaction say that they write."""
        self.calls: set[str] = set()
        """What may be functions of users that they call."""
        self.has_limits = False
        """Whether it has time limits of ours also outside of transactions."""
        self.flushes = server_version >= _FIRST_WITH_FLUSH
        self.ask_xid: str | None = None
        """The query that goes before COMMIT; None: this server has none."""
        if server_version >= _FIRST_WITH_IDS:
            self.ask_xid = _ASK_XID + (_FLUSH if self.flushes else "")

    def begin(self, owner: Owner | None) -> None:
        """A transaction of this owner begins."""
        self.owner = owner
        if owner is not None:
            owner.use_session()
        self.has_savepoints = False
        self.written.clear()
        self.calls.clear()

    def write(self, text: str) -> None:
        """Takes note of a statement of its transaction."""
        if makes_savepoint(text):
            self.has_savepoints = True
        elif (written := written_by(text)) is not None:
            self.written.add(written)
        elif calls := calls_of(text):
            self.calls.update(calls)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is sent for a BEGIN, or ahead of a statement: several, and which of them answers what."""

    text: str
    begun: int | None = None
    """Which result is that of the driver's BEGIN; they count from 0. None: it isn't among them."""
    pid: int | None = None
    """Which result is the id of the server's process."""
    state: int | None = None
    """Which result tells the session's state."""
    limits: str = ""
    """The statement among them that gives the session time limits; empty: there is none."""


class DriverHooks(ABC, Generic[C]):
    """The hooks of one driver, from `install` to `remove`; `C` is its connection."""

    driver: str

    def __init__(self, commits: Commits, runner: str = "pytest", limits: TimeLimits = NO_LIMITS) -> None:
        """Commits are told to `commits`; sessions are named as those of `runner`, and get `limits`."""
        self._commits = commits
        self._limits = limits
        self._runner = runner
        self._is_on = False
        self._patched: list[tuple[object, str, object, object]] = []
        self._last_name: tuple[Owner | None, str] = (None, "")
        self.sessions: WeakKeyDictionary[C, TestSession] = WeakKeyDictionary()
        self.drivers: Sequence[DriverHooks[Any]] = ()
        """The hooks of all drivers, for those in what is above them."""
        self.missing: tuple[str, ...] = ()
        """What of the driver isn't there any more, or has other parameters: not hooked."""

    def install(self) -> None:
        """Puts the hooks in, those that fit this version of the driver: see `missing`."""
        self._is_on = True
        self._install()

    @abstractmethod
    def _install(self) -> None:
        """Patches the driver."""

    def remove(self) -> None:
        """Takes the hooks out. A method that somebody else has replaced since then stays so."""
        self._is_on = False
        for of, name, installed, before in self._patched:
            if vars(of).get(name) is installed:
                if before is None:
                    delattr(of, name)
                else:
                    setattr(of, name, before)
        self._patched.clear()

    def _patch(
        self,
        of: object,
        name: str,
        parameters: tuple[str, ...],
        replace: Callable[..., Callable[..., object]],
        *,
        passes_on: bool = False,
    ) -> None:
        """Replaces a function of a class or module, if it has these parameters.

        `passes_on`: whatever else it is called with goes on to it.
        """
        before = vars(of).get(name)
        # One that is inherited is hidden, and shows again when ours is removed.
        function = getattr(of, name, None) if before is None else getattr(before, "__func__", before)
        if not callable(function) or not takes(function, parameters, passes_on=passes_on):
            self.missing += (f"{getattr(of, '__name__', of)}.{name}",)
            return
        ours = update_wrapper(replace(function), function)
        installed = classmethod(ours) if isinstance(before, classmethod) else ours
        setattr(of, name, installed)
        self._patched.append((of, name, installed, before))

    def known(self, connection: object) -> TestSession | None:
        """Returns what is known of a session, if it is one of this driver's."""
        try:
            return self.sessions.get(connection)  # type: ignore[arg-type]
        except TypeError:
            # It can't be referred to weakly.
            return None

    def is_closed(self, connection: C) -> bool:
        """Whether its session has ended, or can't be asked any more."""
        return True

    def backend_pid(self, connection: C) -> int:
        """The id of the server's process, as the protocol told it at the start; 0 if it didn't."""
        return 0

    def ask(self, connection: C, question: str) -> Sequence[Row] | None:
        """Returns the rows of the answer, at the end of a run; None if it isn't idle."""
        return None

    def reaches(self, connection: object) -> bool:
        """Whether the connection is one of this driver's that doesn't ask these hooks by itself."""
        return False

    def name(self, owner: Owner) -> str:
        """Returns the name of the owner's sessions."""
        of, name = self._last_name
        if of is not owner:
            name = compose(owner.runner or self._runner, owner.worker, owner.name)
            self._last_name = owner, name
        return name

    def beginning(self, session: TestSession, reported: str | None, begin: str = "") -> Beginning | None:
        """Returns what to send for the driver's BEGIN, or ahead of a statement that is a transaction itself.

        `reported` is the name that the server has told last. None: nothing but that BEGIN, or nothing.
        """
        owner = current()
        session.begin(owner)
        name = reported
        if owner is not None:
            session.users.add(owner.number)
            name = self.name(owner)
        question = None if session.is_pooled is not False else session.state.question(owner)
        is_named = name == reported and question is None
        has_limits = not self._limits or owner is None or (session.has_limits and not begin)
        if name is None or session.has_failed or (is_named and has_limits):
            return None
        if begin and not has_limits:
            after = f";{self._limits.statement(local=True)}"
            if is_named:
                return Beginning(begin + after, begun=0)
        else:
            after = ""
        limits = ""
        if session.is_pooled is None:
            # Whose session it is gets known too late for this transaction.
            before, pid, state = f"{_BEGIN};{ASK_PID};COMMIT", 1, None
        elif session.is_pooled:
            return Beginning(f"{begin};{set_name(name, local=True)}{after}", begun=0) if begin else None
        else:
            if self._limits and not begin:
                limits = self._limits.statement(local=False)
                session.has_limits = True
                session.state.ours = self._limits.settings
            words = [_BEGIN, question or "", set_name(name), limits, "COMMIT"]
            before, pid, state = ";".join(filter(None, words)), None, 1 if question else None
        if not begin:
            return Beginning(before, pid=pid, state=state, limits=limits)
        begun = 3 if state is None else 4
        if pid is not None:
            begin += f";{set_name(name, local=True)}"
        return Beginning(f"{before};{begin}{after}", begun, pid, state)

    def heard(
        self,
        session: TestSession,
        beginning: Beginning,
        answers: Callable[[int], Sequence[Row]],
        backend_pid: int,
    ) -> None:
        """Takes the answers to a beginning. `answers` returns the rows of a result."""
        if beginning.pid is not None:
            # Another process answers than the one that the protocol told at the start: a pooler's.
            [[pid]] = answers(beginning.pid)
            session.is_pooled = pid is None or int(pid) != backend_pid
        if beginning.state is not None:
            finding = session.state.take(answers(beginning.state), session.owner)
            if finding is not None:
                findings.tell(finding)

    def taking_over(self, session: TestSession) -> str | None:
        """Returns the statement that names an open transaction anew, where the next test works in it.

        Django's TestCase, for one, has a transaction per class. A late thread of a test goes on for that.
        """
        before, owner = session.owner, None
        if before is not None and before.has_ended:
            owner = current()
        if owner is None or owner is before or owner.has_ended or session.has_failed:
            return None
        session.owner = owner
        owner.use_session()
        session.users.add(owner.number)
        # Beyond its end, the next BEGIN names it.
        return set_name(self.name(owner), local=True)

    def running(self, session: TestSession, text: str, *, in_transaction: bool) -> Statement:
        """Takes note of a statement that a session is about to send."""
        told = statement(text)
        owner = current()
        if owner is not None and owner is not session.owner:
            owner.use_session()  # such as a test in the transaction of a fixture
        if told.is_nothing_but_a_read and session.state.has_started:
            # Most statements of most tests: nothing else has to be noted.
            self._commits.run(owner, session.database, text)
            return told
        session.write(text)
        if in_transaction:
            if told.commits:
                self.tell(session, unknown="typed")
            elif told.prepares:
                self.tell(session, unknown="two_phase")
        if told.resets:
            session.has_limits = False
        if told.changes or told.resets or not session.state.has_started:
            session.state.run(text, told, owner)
        self._commits.run(owner, session.database, text)
        return told

    def tell(
        self, session: TestSession, *, xid: int | None = None, unknown: UnknownReason | None = None
    ) -> None:
        """Tells a commit of the session's owner."""
        flushed = xid is not None and session.flushes
        self._commits.tell(
            Commit(
                session.owner,
                session.database,
                xid,
                unknown=unknown,
                has_flushed_counters=flushed,
                has_savepoints=session.has_savepoints,
                written=frozenset(session.written),
                calls=frozenset(session.calls),
            )
        )


def takes(function: Callable[..., object], expected: tuple[str, ...], *, passes_on: bool = False) -> bool:
    """Whether a function has these parameters, in this order, and whatever else it has may be left out."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        # A function in C may not tell.
        return passes_on
    names, others = tuple(one.name for one in parameters[: len(expected)]), parameters[len(expected) :]
    if passes_on:
        return names == expected
    return names == expected and all(one.default is not one.empty for one in others)


def set_name(name: str, *, local: bool = False) -> str:
    """Returns the statement that names the session. `name` is printable ASCII."""
    # As an E'' literal it is the same whatever standard_conforming_strings says.
    literal = name.replace("\\", "\\\\").replace("'", "''")
    return f"SET {'LOCAL ' if local else ''}application_name TO E'{literal}'"
