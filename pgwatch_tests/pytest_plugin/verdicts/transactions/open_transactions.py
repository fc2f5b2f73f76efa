"""Transactions that a test leaves open, with all their locks, as its drivers' connections know them."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from pgwatch_tests.testing.connections.sessions import TestSession
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin
    from pgwatch_tests.pytest_plugin.connections import Connections

_ADVICE = "commit or roll back, and close the connection, before the test ends (`with` does both)"
_Suspect = tuple[Owner, "weakref.ref[object]", TestSession]
_FAILED = pytest.StashKey[bool]()


class OpenTransactions:
    """Looks at the connections of each test when it has ended.

    A traceback, and what pytest keeps of a test's fixtures, hold connections a moment longer: these are
    looked at again once pytest is done with the test. A transaction on a connection that a wider fixture has
    opened is the fixture's, though its BEGIN is sent with a test's first statement; one on a connection of
    another test may be a class's, as Django's TestCase has them, and is looked at when the module is over.
    """

    def __init__(self, active: ActivePlugin, connections: Connections) -> None:
        self._active = active
        self._connections = connections
        self._later: list[_Suspect] = []
        self._after_module: list[_Suspect] = []
        active.failed.append(self._learn_failure)
        active.left.append(self._leave)
        active.ended.append(self._end)

    def _leave(self) -> None:
        """Looks again, when nothing of the test is held by pytest."""
        if self._after_module:
            item, next_item = self._active.item, self._active.next_item
            if (
                item is None
                or next_item is None
                or next_item.getparent(pytest.Module) is not item.getparent(pytest.Module)
            ):
                self._later += self._after_module
                self._after_module = []
        if self._later:
            self._look_again()

    def _learn_failure(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, at: float
    ) -> None:
        """Remembers that a test failed."""
        if call.excinfo is not None:
            item.stash[_FAILED] = True

    def _end(self, owner: Owner) -> None:
        found = list(self._of(owner)) if owner.has_used_sessions else []
        if not found:
            return
        item = self._active.item
        is_held = item is None or item.stash.get(_FAILED, False)
        values = tuple((getattr(item, "funcargs", None) or {}).values())
        found.clear()
        gc.collect()  # a connection in a cycle of references is as good as closed
        for connection, session in self._of(owner):
            suspect = owner, weakref.ref(connection), session
            if session.opened_by is not owner:
                self._after_module.append(suspect)
            elif is_held or any(connection is value for value in values):
                self._later.append(suspect)
            else:
                self._tell(owner, session)

    def _look_again(self) -> None:
        later, self._later = self._later, []
        if later:
            gc.collect()
        for owner, reference, session in later:
            connection = reference()
            is_open = connection is not None and session.owner is owner and _is_open(connection)
            if is_open and not _is_held_by_frames(connection):
                self._tell(owner, session)

    def _of(self, owner: Owner) -> Iterator[tuple[object, TestSession]]:
        """Yields the connections with an open transaction that is put down to the owner."""
        for hooks in self._connections.hooks:
            for connection, session in list(hooks.sessions.items()):
                opened_by = session.opened_by
                if session.owner is not owner or (opened_by is not None and opened_by.kind == "fixture"):
                    continue
                if _is_open(connection) and not _is_of_django_class(connection):
                    yield connection, session

    def _tell(self, owner: Owner, session: TestSession) -> None:
        where = session.database.name
        self._active.found(
            Finding(
                "open_transaction",
                owner,
                f"left a transaction open in {where}: its locks stay, and what it wrote isn't seen by others",
                _ADVICE,
            )
        )


def _is_held_by_frames(connection: object) -> bool:
    """Whether nothing but frames hold the connection: those of a traceback, which pytest and its plugins keep
    of a failure for a while, or for the rest of the session."""
    return all(
        isinstance(one, FrameType)
        or (isinstance(one, dict) and any(isinstance(two, FrameType) for two in gc.get_referrers(one)))
        for one in gc.get_referrers(connection)
    )


def _is_of_django_class(connection: object) -> bool:
    """Whether it is the transaction that Django's TestCase keeps for all tests of a class, and rolls back.

    The first statement in it is a test's, if the class has no data of its own.
    """
    django_db, conf = sys.modules.get("django.db"), sys.modules.get("django.conf")
    # factory_boy imports it wherever it is installed, for suites that have no settings for it.
    if django_db is None or conf is None or not conf.settings.configured:
        return False
    return any(
        wrapper.connection is connection
        and any(getattr(block, "_from_testcase", False) for block in wrapper.atomic_blocks)
        for wrapper in django_db.connections.all(initialized_only=True)
    )


def _is_open(connection: object) -> bool:
    """Whether the connection of a driver is in a transaction, and nothing runs in it."""
    if getattr(connection, "closed", False) is True:
        return False
    # psycopg and psycopg 2: INTRANS and INERROR of libpq are 2 and 3; asyncpg has a method of its own.
    info = getattr(connection, "info", None)
    status = getattr(info, "transaction_status", None)
    if status is not None:
        return int(status) in (2, 3)
    is_in_transaction = getattr(connection, "is_in_transaction", None)
    is_closed = getattr(connection, "is_closed", None)
    if callable(is_in_transaction) and callable(is_closed):
        return not is_closed() and bool(is_in_transaction())
    return False
