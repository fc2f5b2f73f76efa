"""A suite on several processes whose tests leave rows behind in five ways, and log their transactions."""

from __future__ import annotations

import multiprocessing
import os
import random
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now, written
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog

WAYS = ("plain", "savepoint", "updated by others", "another process", "unmarked")
TABLES = (
    "CREATE TABLE users (id bigserial PRIMARY KEY, owner text, way text, email text, visits int DEFAULT 0)",
    "CREATE TABLE audit (id bigserial PRIMARY KEY, owner text, way text, action text, visits int DEFAULT 0)",
)
_USER = "INSERT INTO users (owner, way, email) VALUES (%s, %s, %s)"
_AUDIT = "INSERT INTO audit (owner, way, action) VALUES (%s, 'unmarked', 'signed in')"
# Somebody else's row, of those that nobody updates just now.
_TOUCH_USER = (
    "UPDATE users SET visits = visits + 1 WHERE id = (SELECT id FROM users WHERE way = 'updated by others'"
    " AND owner <> %s ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
)
_TOUCH_AUDIT = (
    "UPDATE audit SET visits = visits + 1 WHERE id = (SELECT id FROM audit"
    " WHERE owner <> %s AND id %% 3 = 0 ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
)

Statement = tuple[LiteralString, Sequence[object]]


def test_name(number: int) -> str:
    """A test's id, without its way in it: owners aren't markers."""
    return f"tests/test_suite.py::test_{number}"


def run_suite(dsn: str, directory: Path, tests: int, workers: int) -> None:
    """Runs the suite on `workers` processes; each test leaks in the way of its number."""
    # Not forked: whoever runs this may have threads.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(dsn, directory, worker, range(worker, tests, workers)))
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * workers


def email(mark: str = "") -> str:
    """An address as tests make them, with or without a test's hash."""
    stamp = time.time_ns() // 1_000_000
    return f"user-{stamp}-{mark}{'-' if mark else ''}{secrets.token_hex(4)}@test.example.com"


def _work(dsn: str, directory: Path, worker: int, numbers: Sequence[int]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        database, clock = database_now(connection).identity, clock_offset(connection)
    order = list(numbers)
    random.shuffle(order)
    with TransactionLog(directory, database, f"gw{worker}", clock) as log:
        for number in order:
            run = log.began(test_name(number))
            with psycopg.connect(dsn) as connection:
                _Test(log, run, connection, dsn, test_name(number)).run(WAYS[number % len(WAYS)])
            log.ended(run, "passed")


class _Test:
    def __init__(
        self, log: TransactionLog, run: int, connection: Connection[TupleRow], dsn: str, name: str
    ) -> None:
        self._log = log
        self._run = run
        self._connection = connection
        self._dsn = dsn
        self._name = name

    def run(self, way: str) -> None:
        user: Statement = (_USER, (self._name, way, email()))
        if way == "plain":
            self._commit(user)
        elif way == "savepoint":
            self._commit(("SAVEPOINT s", ()), user, ("RELEASE s", ()))
            self._commit(("SAVEPOINT s", ()), (_TOUCH_USER, (self._name,)), ("RELEASE s", ()))
        elif way == "updated by others":
            self._commit(user)
            # And in one transaction, what is one's own and what is others'.
            self._commit((_TOUCH_USER, (self._name,)), user)
        elif way == "another process":
            self._in_another_process((_USER, (self._name, way, email(token(self._name)))))
        else:
            self._commit((_AUDIT, (self._name,)))
            self._commit((_TOUCH_AUDIT, (self._name,)))
        self._commit((_TOUCH_USER, (self._name,)))

    def _commit(self, *statements: Statement) -> None:
        for statement, parameters in statements:
            self._connection.execute(statement, parameters)
        transaction = written(self._connection)
        if transaction is not None:
            self._log.wrote(self._run, transaction)
        self._connection.commit()

    def _in_another_process(self, statement: Statement) -> None:
        """Not in the log: nobody asks that process about its transactions."""
        child = os.fork()
        if child == 0:
            with psycopg.connect(self._dsn) as connection:
                connection.execute(*statement)
                connection.execute(_TOUCH_USER, (self._name,))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
