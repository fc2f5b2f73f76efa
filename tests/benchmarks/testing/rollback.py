"""What `rollback_session` costs beside the recipe by hand, sides drawn at random in one process.

    python -m tests.benchmarks.testing.rollback [rounds]

Both insert a row and commit it, and roll it back. The recipe checks no deferred constraints, and its sessions
share one savepoint.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing import rollback_session
from tests.servers.server_places import server_directory

BUDGET = 1.2
ADD = sa.text("INSERT INTO users (email) VALUES (:email)")


def by_hand(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.execute(ADD, {"email": "a@test.example.com"})
            session.commit()
        transaction.rollback()


def by_fixture(engine: sa.Engine) -> None:
    with rollback_session(engine) as session:
        session.execute(ADD, {"email": "a@test.example.com"})
        session.commit()


def median_s(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Returns the median time of each side, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name in random.sample(list(sides), len(sides)):
            began = time.perf_counter()
            sides[name]()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(of) for name, of in times.items()}


def main(rounds: int) -> None:
    """Prints a ratio for each driver."""
    with EmbeddedServer(find_programs(), server_directory()) as server:
        for driver in ("psycopg", "psycopg2"):
            engine = sa.create_engine(sa.make_url(server.dsn()).set(drivername=f"postgresql+{driver}"))
            with engine.begin() as connection:
                connection.execute(sa.text("DROP TABLE IF EXISTS users"))
                connection.execute(sa.text("CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE)"))
            medians = median_s(
                {"hand": lambda: by_hand(engine), "fixture": lambda: by_fixture(engine)},  # noqa: B023
                rounds,
            )
            ratio = medians["fixture"] / medians["hand"]
            print(
                f"{driver}: by hand {medians['hand'] * 1e6:.0f} µs, rollback_session "
                f"{medians['fixture'] * 1e6:.0f} µs: {ratio:.2f} (budget {BUDGET})"
            )
            engine.dispose()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000)
