"""The fixtures of the plugin, there whether it is on or off. Each imports what it needs when it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pgwatch_tests.testing.named_locks import NamedLocks


@pytest.fixture(scope="session", name="run_id")
def run_id_fixture() -> str:
    """The id of this test run: 8 hex digits, the same in all workers."""
    from pgwatch_tests.testing import run_id

    return run_id()


@pytest.fixture(scope="session")
def pgwatch_run(run_id: str) -> str:
    """The id of this test run, for suites that have a fixture `run_id` of their own."""
    return run_id


@pytest.fixture(name="unique_email")
def unique_email_fixture() -> Callable[..., str]:
    """Returns a new email address: `unique_email(prefix, domain="test.example.com")`."""
    from pgwatch_tests.testing import unique_email

    return unique_email


@pytest.fixture(name="unique_id")
def unique_id_fixture() -> Callable[[str], str]:
    """Returns a new id: `unique_id(prefix)`."""
    from pgwatch_tests.testing import unique_id

    return unique_id


@pytest.fixture(scope="session")
def pgwatch_dsn(pytestconfig: pytest.Config) -> str:
    """The database of the suite, where fixtures make schemas and databases: override it if need be.

    It is that of `--pgwatch-dsn`, else of PGWATCH_DSN, DATABASE_URL or `[tool.pgwatch-tests] dsn`; empty for
    libpq's own variables.
    """
    from pgwatch_tests.errors import ConfigurationError
    from pgwatch_tests.settings.load import Flags, load

    try:
        return load(
            Flags(dsn=pytestconfig.getoption("--pgwatch-dsn")), start=Path(pytestconfig.rootpath)
        ).dsn.value
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def pgwatch_lock(pgwatch_dsn: str) -> Callable[..., NamedLocks]:
    """Returns named locks of the suite's server: `with pgwatch_lock("mail"):`, or `async with`."""
    from functools import partial

    from pgwatch_tests.testing import lock

    return partial(lock, dsn=pgwatch_dsn)
