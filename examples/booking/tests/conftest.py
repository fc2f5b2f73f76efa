"""A server for each run, unless PGWATCH_DSN names a database that is there; one database for all workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from booking.api import create_app
from booking.models import Base, add_reference_data
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs, free_directory
from tests.factories import UserFactory
from tests.outbox import Outbox

DATABASE = "test_booking"
_SERVER = pytest.StashKey[ExitStack]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Starts the server and makes the tables, before there are workers."""
    if hasattr(config, "workerinput"):
        return
    config.stash[_SERVER] = stack = ExitStack()
    if "PGWATCH_DSN" not in os.environ:
        server = stack.enter_context(EmbeddedServer(find_programs(), free_directory("booking-")))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        stack.callback(os.environ.pop, "PGWATCH_DSN")
        os.environ["PGWATCH_DSN"] = server.dsn(DATABASE)
    engine = create_engine(_url())
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        add_reference_data(session)
    engine.dispose()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the server."""
    if (stack := config.stash.get(_SERVER, None)) is not None:
        stack.close()


def pytest_report_header() -> str:
    """Says where one can look on: `pgwatch-tests --dsn …`."""
    return f"database: {os.environ['PGWATCH_DSN']}"


def _url() -> str:
    return os.environ["PGWATCH_DSN"].replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="session")
def url() -> str:
    """The database, for SQLAlchemy."""
    return _url()


@pytest.fixture(scope="session")
def engine(url: str) -> Iterator[Engine]:
    """The application's engine. Nothing waits for a lock for more than two seconds."""
    made = create_engine(url, connect_args={"options": "-c lock_timeout=2s"})
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine, cleanup_test: object) -> Iterator[Session]:
    """A session in which factories make rows, which are gone when the test ends.

    So is what the application itself writes, by the test's hash in its values.
    """
    with Session(engine, expire_on_commit=False) as made, UserFactory.using(made):
        yield made


@pytest.fixture
def client(engine: Engine, session: Session) -> TestClient:
    """A client of the application."""
    return TestClient(create_app(engine))


@pytest.fixture(scope="session")
def outbox() -> Iterator[Outbox]:
    """The messages that are to be sent; all of them are, in the end."""
    made = Outbox()
    yield made
    made.send()


@pytest.fixture(autouse=True)
def sent(outbox: Outbox) -> None:
    """Sends what was put into the outbox before this test."""
    outbox.send()
