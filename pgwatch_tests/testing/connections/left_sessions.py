"""The sessions that are open at the end of a run: what the last test to use each has left in it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.sessions import ASK_PID, DriverHooks, Row, TestSession
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding

_ANSWER_LIMIT_S = 2.0


class LeftSessions:
    """All sessions that the hooks know, at the end."""

    def __init__(self, hooks: Sequence[DriverHooks[Any]]) -> None:
        self._hooks = hooks

    def tell(self) -> None:
        """Tells the findings on them. A session whose event loop is closed can't be asked for its state."""
        if any(True for _ in self._open()):
            # What only waits for the collector isn't kept by anybody.
            gc.collect()
        left: dict[Owner, int] = {}
        for hooks, connection, session in list(self._open()):
            question = session.state.question(None)
            if question is not None and not self._is_pooled(hooks, connection, session):
                rows = _answer(hooks, connection, question)
                if rows is not None and (finding := session.state.take(rows, None)) is not None:
                    findings.tell(finding)
            if _is_left(session) and (opener := session.opened_by) is not None:
                left[opener] = left.get(opener, 0) + 1
        for opener, count in left.items():
            connections = "a connection" if count == 1 else f"{count} connections"
            findings.tell(
                Finding(
                    "connections",
                    opener,
                    f"{opener.name} left {connections} open that no other test has used",
                    "close it in the test's clean-up, or open it in a fixture, if tests are to share it",
                    # A connection that is shared, and that no other test happened to need, looks the same.
                    fails=False,
                )
            )

    def _is_pooled(self, hooks: DriverHooks[Any], connection: object, session: TestSession) -> bool:
        if session.is_pooled is None:
            rows = _answer(hooks, connection, ASK_PID)
            session.is_pooled = not rows or rows[0][0] != str(hooks.backend_pid(connection))
        return session.is_pooled

    def _open(self) -> Iterator[tuple[DriverHooks[Any], Any, TestSession]]:
        for hooks in self._hooks:
            for connection, session in list(hooks.sessions.items()):
                if not hooks.is_closed(connection):
                    yield hooks, connection, session


def _is_left(session: TestSession) -> bool:
    opener = session.opened_by
    return (
        opener is not None
        and opener.kind == "test"
        and not session.is_of_pool
        and session.users <= {opener.number}
    )


def _answer(hooks: DriverHooks[Any], connection: object, question: str) -> Sequence[Row] | None:
    """Returns the rows of the answer; None if there is none soon: the server may be stopped."""
    answers: list[Sequence[Row] | None] = []

    def ask() -> None:
        try:
            answers.append(hooks.ask(connection, question))
        except Exception:  # noqa: BLE001
            # It may have been closed meanwhile.
            answers.append(None)

    thread = threading.Thread(target=ask, name="pgwatch-tests left sessions", daemon=True)
    thread.start()
    thread.join(_ANSWER_LIMIT_S)
    return answers[0] if answers else None
