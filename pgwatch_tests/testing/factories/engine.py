"""An engine for whoever has a connection string only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Engine, NullPool, create_engine

from pgwatch_tests.postgres.connections.dsn import normalise
from pgwatch_tests.settings.load import Dsn


@contextmanager
def own_engine(dsn: str) -> Iterator[Engine]:
    """Gives an engine that keeps no connection open. Takes what `--dsn` takes. Raises ConfigurationError."""
    conninfo, _ = normalise(Dsn(dsn, "the database of the suite"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )
    try:
        yield engine
    finally:
        engine.dispose()
