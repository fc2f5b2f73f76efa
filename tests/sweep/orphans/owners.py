"""Processes that own something, to be stopped and killed: `python -m tests.sweep.orphans.owners WHAT DSN`."""

from __future__ import annotations

import itertools
import sys
import time

import psycopg

from pgwatch_tests.testing.leases import database, run, schema
from tests.sweep.orphans.sweeping import swept


def say(name: str) -> None:
    """One line for the test."""
    print(name, flush=True)


def own_schema(dsn: str) -> None:
    """Owns a schema until killed."""
    with schema(dsn) as name:
        say(name)
        time.sleep(600)


def work_in_schema(dsn: str) -> None:
    """Owns a schema, and is in the middle of a long statement."""
    with schema(dsn) as name, psycopg.connect(dsn, autocommit=True) as connection:
        say(name)
        connection.execute("SELECT pg_sleep(600)")


def own_database(dsn: str) -> None:
    """Owns a database until killed."""
    with database(dsn) as own:
        say(own.name)
        time.sleep(600)


def own_run(dsn: str) -> None:
    """Is a run until killed."""
    with run(dsn) as run_id:
        say(run_id)
        time.sleep(600)


def drop_half(dsn: str) -> None:
    """Sweeps schemas, and stays in the middle of it: after the first portion of the first schema."""
    questions = itertools.count(1)

    def stopped() -> bool:
        if next(questions) == 3:
            say("half")
            time.sleep(600)
        return False

    swept(dsn, "schemas", stopped=stopped)


WHAT = {
    "schema": own_schema,
    "work": work_in_schema,
    "database": own_database,
    "run": own_run,
    "sweep": drop_half,
}

if __name__ == "__main__":
    WHAT[sys.argv[1]](sys.argv[2])
