"""The public API for authors of tests: unique values, what is a test's own while it lives, transaction logs.

    from pgwatch_tests.testing import database, lease, run, schema, unique_email, unique_id

A name is imported with its first use, so that this import costs next to nothing. `Unique` and
`UniqueFactory`, which need the extra `factories`, aren't part of `import *`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgwatch_tests.identity.value_tokens import token
    from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now, written
    from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
    from pgwatch_tests.testing.cleanup import (
        acleanup_run,
        acleanup_test,
        cleaned_run,
        cleaned_test,
        cleanup_run,
        cleanup_test,
    )
    from pgwatch_tests.testing.current_test import Owner, current
    from pgwatch_tests.testing.factories import Unique as Unique
    from pgwatch_tests.testing.factories import UniqueFactory as UniqueFactory
    from pgwatch_tests.testing.http.header import request_headers
    from pgwatch_tests.testing.http.servers import asgi, wsgi
    from pgwatch_tests.testing.identifiers import run_id, unique_email, unique_id
    from pgwatch_tests.testing.interleaving.controller import DivergedError
    from pgwatch_tests.testing.interleaving.exploration import Exploration
    from pgwatch_tests.testing.interleaving.interleave import (
        interleave,
        interleave_async,
        replay,
        replay_async,
    )
    from pgwatch_tests.testing.interleaving.proxy.proxy import InterleaveProxy
    from pgwatch_tests.testing.interleaving.proxy.requests import (
        interleave_requests,
        interleave_requests_async,
        replay_requests,
        replay_requests_async,
    )
    from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule
    from pgwatch_tests.testing.isolation.databases.isolated_database import (
        isolated_database,
        prepared_databases,
    )
    from pgwatch_tests.testing.isolation.databases.template_database import drop_templates
    from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
    from pgwatch_tests.testing.isolation.isolated_schema import isolated_schema
    from pgwatch_tests.testing.isolation.kept_places import keep
    from pgwatch_tests.testing.isolation.migrations import (
        MigrationError,
        Migrations,
        alembic_migrations,
        as_migrations,
        function_migrations,
        metadata_migrations,
        sql_migrations,
    )
    from pgwatch_tests.testing.isolation.rollbacks.async_rollback import (
        async_rollback_connection,
        async_rollback_engine,
        async_rollback_session,
    )
    from pgwatch_tests.testing.isolation.rollbacks.rollback import (
        rollback_connection,
        rollback_engine,
        rollback_session,
    )
    from pgwatch_tests.testing.isolation.suite_isolation import (
        isolated_database_fixture,
        isolated_schema_fixture,
    )
    from pgwatch_tests.testing.leases import OwnDatabase, database, lease, run, schema
    from pgwatch_tests.testing.named_locks import NamedLockError, NamedLocks, lock
    from pgwatch_tests.testing.races.load import Load, load, load_async
    from pgwatch_tests.testing.races.outcomes import Outcome, Outcomes
    from pgwatch_tests.testing.races.race import race, race_async
    from pgwatch_tests.testing.removed_rows import RemovedRows, RowsStayError, StayingRows

__all__ = [
    "DivergedError",
    "Exploration",
    "InterleaveProxy",
    "IsolatedPlace",
    "Load",
    "MigrationError",
    "Migrations",
    "NamedLockError",
    "NamedLocks",
    "Outcome",
    "Outcomes",
    "OwnDatabase",
    "Owner",
    "RemovedRows",
    "RowsStayError",
    "Schedule",
    "StayingRows",
    "TransactionLog",
    "acleanup_run",
    "acleanup_test",
    "alembic_migrations",
    "as_migrations",
    "asgi",
    "async_rollback_connection",
    "async_rollback_engine",
    "async_rollback_session",
    "cleaned_run",
    "cleaned_test",
    "cleanup_run",
    "cleanup_test",
    "clock_offset",
    "current",
    "database",
    "database_now",
    "drop_templates",
    "function_migrations",
    "interleave",
    "interleave_async",
    "interleave_requests",
    "interleave_requests_async",
    "isolated_database",
    "isolated_database_fixture",
    "isolated_schema",
    "isolated_schema_fixture",
    "keep",
    "lease",
    "load",
    "load_async",
    "lock",
    "metadata_migrations",
    "prepared_databases",
    "race",
    "race_async",
    "replay",
    "replay_async",
    "replay_requests",
    "replay_requests_async",
    "request_headers",
    "rollback_connection",
    "rollback_engine",
    "rollback_session",
    "run",
    "run_id",
    "schema",
    "sql_migrations",
    "token",
    "unique_email",
    "unique_id",
    "written",
    "wsgi",
]

_MODULES = {
    "pgwatch_tests.identity.value_tokens": ("token",),
    "pgwatch_tests.leaks.attribution.own_transaction": ("clock_offset", "database_now", "written"),
    "pgwatch_tests.leaks.attribution.transaction_log": ("TransactionLog",),
    "pgwatch_tests.testing.cleanup": (
        "acleanup_run",
        "acleanup_test",
        "cleaned_run",
        "cleaned_test",
        "cleanup_run",
        "cleanup_test",
    ),
    "pgwatch_tests.testing.named_locks": ("NamedLockError", "NamedLocks", "lock"),
    "pgwatch_tests.testing.removed_rows": ("RemovedRows", "RowsStayError", "StayingRows"),
    "pgwatch_tests.testing.current_test": ("Owner", "current"),
    "pgwatch_tests.testing.factories": ("Unique", "UniqueFactory"),
    "pgwatch_tests.testing.http.header": ("request_headers",),
    "pgwatch_tests.testing.http.servers": ("asgi", "wsgi"),
    "pgwatch_tests.testing.identifiers": ("run_id", "unique_email", "unique_id"),
    "pgwatch_tests.testing.isolation.rollbacks.async_rollback": (
        "async_rollback_connection",
        "async_rollback_engine",
        "async_rollback_session",
    ),
    "pgwatch_tests.testing.isolation.rollbacks.rollback": (
        "rollback_connection",
        "rollback_engine",
        "rollback_session",
    ),
    "pgwatch_tests.testing.isolation.databases.isolated_database": (
        "isolated_database",
        "prepared_databases",
    ),
    "pgwatch_tests.testing.isolation.isolated_place": ("IsolatedPlace",),
    "pgwatch_tests.testing.isolation.isolated_schema": ("isolated_schema",),
    "pgwatch_tests.testing.isolation.kept_places": ("keep",),
    "pgwatch_tests.testing.isolation.migrations": (
        "MigrationError",
        "Migrations",
        "alembic_migrations",
        "as_migrations",
        "function_migrations",
        "metadata_migrations",
        "sql_migrations",
    ),
    "pgwatch_tests.testing.isolation.suite_isolation": (
        "isolated_database_fixture",
        "isolated_schema_fixture",
    ),
    "pgwatch_tests.testing.isolation.databases.template_database": ("drop_templates",),
    "pgwatch_tests.testing.interleaving.controller": ("DivergedError",),
    "pgwatch_tests.testing.interleaving.exploration": ("Exploration",),
    "pgwatch_tests.testing.interleaving.proxy.proxy": ("InterleaveProxy",),
    "pgwatch_tests.testing.interleaving.proxy.requests": (
        "interleave_requests",
        "interleave_requests_async",
        "replay_requests",
        "replay_requests_async",
    ),
    "pgwatch_tests.testing.interleaving.schedules.schedule": ("Schedule",),
    "pgwatch_tests.testing.interleaving.interleave": (
        "interleave",
        "interleave_async",
        "replay",
        "replay_async",
    ),
    "pgwatch_tests.testing.races.load": ("Load", "load", "load_async"),
    "pgwatch_tests.testing.races.outcomes": ("Outcome", "Outcomes"),
    "pgwatch_tests.testing.races.race": ("race", "race_async"),
    "pgwatch_tests.testing.leases": ("OwnDatabase", "database", "lease", "run", "schema"),
}


if not TYPE_CHECKING:  # so that a wrong name is an error of type checkers, too

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
