"""The conductor's process: one line of JSON in, one out when it plays, one out with the counts at the end."""

from __future__ import annotations

import json
import sys

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgwatch_tests.demo.booking import Base, add_real_rows
from pgwatch_tests.demo.flaky_suite.conductor import Conductor
from pgwatch_tests.demo.flaky_suite.repertoire import repeated, runs


def main() -> None:
    """Plays from the first line of standard input to its end."""
    line = sys.stdin.buffer.readline()
    if not line:
        return
    order = json.loads(line)
    dsn: str = order["dsn"]
    make_application(dsn)
    conductor = Conductor(
        dsn,
        repeated(order["scenarios"]) if order["scenarios"] else runs(order["seed"]),
        workers=order["workers"],
        seed=order["seed"],
        pace=order["pace"],
    )
    try:
        _tell({"playing": True})
        conductor.play_until_readable(sys.stdin.fileno())
    finally:
        conductor.close()
    _tell({"tests": conductor.tests_finished, "failures": dict(conductor.failures.most_common())})


def make_application(dsn: str) -> None:
    """Makes the tables and the rows that no test made."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        add_real_rows(session)


def _tell(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
