"""A test that leaves rows, and its log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now, written
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
from tests.servers.sessions import Connect

NAME = "tests/test_booking.py::test_books"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory for logs."""
    return tmp_path / "transactions"


Leave = Callable[..., None]


@pytest.fixture
def leave(connect: Connect, logs: Path) -> Leave:
    """Runs a test that executes statements in one logged transaction."""

    def run(*statements: str, test: str = NAME) -> None:
        connection = connect()
        with TransactionLog(logs, database_now(connection).identity, "gw0", clock_offset(connection)) as log:
            connection.rollback()
            number = log.began(test)
            for statement in statements:
                connection.execute(statement.encode())
            transaction = written(connection)
            assert transaction is not None
            log.wrote(number, transaction)
            connection.commit()
            log.ended(number, "passed")
        connection.close()

    return run
