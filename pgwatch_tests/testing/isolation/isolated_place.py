"""An isolated place: a schema or database of a test's own, and the ways to connect to it.

The search path is part of each connection's start: pools hand it on, and no ROLLBACK undoes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database, normalise
from pgwatch_tests.settings.load import Dsn

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

Builder = Callable[[str], AbstractContextManager[OwnConnection]]
AsyncDriver = Literal["psycopg", "asyncpg"]


@dataclass(frozen=True, slots=True)
class IsolatedPlace:
    """A schema or a database that belongs to a test, a module or a worker."""

    name: str
    """The name of the schema or database, which needs no quotes."""
    dsn: str = field(repr=False)
    """A URL that libpq, psycopg and asyncpg take, with the search path, and maybe a password."""
    search_path: tuple[str, ...] = ()
    """The schemas that names without one mean; empty for what the server says."""
    kept_until: list[str] = field(default_factory=list, repr=False, compare=False)
    """The time until which it stays (see `kept_places.keep`), as the only item; empty if it goes."""
    _builder: Builder | None = field(default=None, repr=False, compare=False)
    _engines: list[Engine] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def schema(
        cls, dsn: str, name: str, beside: Iterable[str] = (), builder: Builder | None = None
    ) -> IsolatedPlace:
        """Returns a schema of the database that `dsn` names. Raises ConfigurationError.

        `builder` lends a session in a search path, for what would connect for a moment only.
        """
        search_path = (name, *beside)
        url = _with_search_path(_parameters(Dsn(dsn, "the DSN")), search_path)
        return cls(name, url, search_path, _builder=builder)

    @classmethod
    def database(cls, dsn: str, name: str) -> IsolatedPlace:
        """Returns a database of the server that `dsn` names. Raises ConfigurationError."""
        return cls(name, _url(_parameters(in_database(Dsn(dsn, "the DSN"), name))))

    def connect(self, *, autocommit: bool = False, **options: Any) -> psycopg.Connection[TupleRow]:
        """Returns a new connection; the options are psycopg's. Whoever asks closes it."""
        return psycopg.connect(self.dsn, autocommit=autocommit, **options)

    @contextmanager
    def session(self) -> Iterator[OwnConnection]:
        """An autocommit session for a moment, which takes several statements in a message."""
        if self._builder is not None:
            with self._builder(_listed(self.search_path)) as connection:
                yield connection
        else:
            with plain_session(self.dsn) as connection:
                yield connection

    def engine(self, **options: Any) -> Engine:
        """Returns a new engine of SQLAlchemy for psycopg 3, disposed of with the place.

        The options are those of `sqlalchemy.create_engine`.
        """
        from sqlalchemy import create_engine

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(self.dsn), **options)
        self._engines.append(engine)
        return engine

    def async_engine(self, driver: AsyncDriver = "psycopg", **options: Any) -> AsyncEngine:
        """Returns a new asynchronous engine of SQLAlchemy; the options are those of `create_async_engine`.

        It keeps no connections unless `poolclass` says so: each belongs to an event loop, which may end
        first.
        """
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        async def of_psycopg() -> object:
            return await psycopg.AsyncConnection.connect(self.dsn)

        async def of_asyncpg() -> object:
            import asyncpg

            return await asyncpg.connect(**self.asyncpg_arguments())

        creator = of_psycopg if driver == "psycopg" else of_asyncpg
        options.setdefault("poolclass", NullPool)
        return create_async_engine(f"postgresql+{driver}://", async_creator=creator, **options)

    def asyncpg_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `asyncpg.connect` or `create_pool`: `dsn`, and the search path."""
        parameters = conninfo_to_dict(self.dsn)
        settings = {"search_path": _listed(self.search_path)} if self.search_path else {}
        if settings:
            parameters["options"] = _without_last_setting(str(parameters["options"]))
        return {"dsn": _url(_texts(parameters)), "server_settings": settings}

    def dispose(self) -> None:
        """Closes the idle connections of all engines that it has made; they open new ones when asked."""
        for engine in self._engines:
            engine.dispose()


def plain_session(dsn: str) -> OwnConnection:
    """Returns an autocommit session of ours, taken for no test's, but with the suite's settings."""
    return OwnConnection.connect(dsn, autocommit=True, prepare_threshold=None)


def without_password(dsn: str) -> str:
    """Returns the URL of a place without its password."""
    parameters = conninfo_to_dict(dsn)
    return _url(_texts({name: value for name, value in parameters.items() if "password" not in name}))


def _parameters(dsn: Dsn) -> dict[str, str]:
    return _texts(conninfo_to_dict(normalise(dsn)[0]))


def _texts(parameters: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items() if value not in (None, "")}


def _with_search_path(parameters: dict[str, str], search_path: Iterable[str]) -> str:
    # In `options`, a backslash makes a space or backslash part of a value (PostgreSQL manual, libpq).
    escaped = _listed(search_path).replace("\\", "\\\\").replace(" ", "\\ ")
    options = f"{parameters.get('options', '')} -c search_path={escaped}".strip()
    return _url({**parameters, "options": options})


def _listed(search_path: Iterable[str]) -> str:
    return ",".join('"' + name.replace('"', '""') + '"' for name in search_path)


def _without_last_setting(options: str) -> str:
    return options.rpartition("-c search_path=")[0].strip()


def _url(parameters: dict[str, str]) -> str:
    """Returns the URL of connection parameters: what SQLAlchemy and asyncpg need in front comes in front."""
    rest = {name: value for name, value in parameters.items() if value}
    user, password = rest.pop("user", ""), rest.pop("password", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host, port = rest.get("host", ""), rest.get("port", "")
    where = ""
    # Sockets, several hosts, and IPv6 addresses go behind.
    if host and not set("/,:%@ ") & set(host) and (port.isdigit() or not port):
        where = host + (f":{port}" if port else "")
        rest = {name: value for name, value in rest.items() if name not in ("host", "port")}
    database = quote(rest.pop("dbname", ""), safe="")
    query = urlencode(rest, quote_via=quote, safe="/")
    return f"postgresql://{who}{'@' if who else ''}{where}/{database}{f'?{query}' if query else ''}"
