"""Engines of SQLAlchemy for a connection string in any form that `--dsn` takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, NullPool, create_engine

from pgwatch_tests.postgres.connections.dsn import normalise
from pgwatch_tests.settings.load import Dsn

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_URL = URL.create("postgresql+psycopg")


@contextmanager
def suite_engine(dsn: str, *, pools: bool = True) -> Iterator[Engine]:
    """Gives an engine, disposed of in the end. Without a pool, it keeps no connection open meanwhile.

    Raises ConfigurationError.
    """
    engine = create_engine(_URL, connect_args=_parameters(dsn), poolclass=None if pools else NullPool)
    try:
        yield engine
    finally:
        engine.dispose()


def async_suite_engine(dsn: str) -> AsyncEngine:
    """Returns an engine that keeps no connection: tests may have an event loop each.

    Raises ConfigurationError.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(_URL, connect_args=_parameters(dsn), poolclass=NullPool)


def _parameters(dsn: str) -> dict[str, object]:
    return dict(conninfo_to_dict(normalise(Dsn(dsn, "the DSN of the suite"))[0]))
