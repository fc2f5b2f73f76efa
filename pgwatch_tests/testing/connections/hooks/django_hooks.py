"""Hooks in Django: the rows that it makes by itself, for a test database as a whole, are no test's.

A `flush`, such as each TransactionTestCase ends with, empties all tables and has the applications put their
own rows back: content types, permissions (`post_migrate`). Migrations fill a test database when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.commands import flush
from django.db.backends.base.creation import BaseDatabaseCreation

from pgwatch_tests.testing.connections.sessions import DriverHooks
from pgwatch_tests.testing.current_test import Owner, acting_for


class DjangoHooks(DriverHooks[object]):
    """The hooks in Django."""

    driver = "django"

    def _install(self) -> None:
        self._patch(
            flush, "emit_post_migrate_signal", ("verbosity", "interactive", "db"), self._own, passes_on=True
        )
        self._patch(BaseDatabaseCreation, "create_test_db", ("self",), self._own, passes_on=True)

    def _own(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def work_for_django(*args: Any, **more: Any) -> Any:
            if not self._is_on:
                return work(*args, **more)
            with acting_for(Owner("other", "Django")):
                return work(*args, **more)

        return work_for_django
