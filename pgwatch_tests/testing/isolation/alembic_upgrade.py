"""Alembic's upgrade as migrations: env.py runs as ever, kept from any other database than the place's."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, event, make_url
from sqlalchemy.exc import ArgumentError

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.migrations import MigrationError, Migrations

_ONE_AT_A_TIME = threading.Lock()
"""Alembic's `context` and `op` are the process's."""


@dataclass(frozen=True)
class AlembicUpgrade(Migrations):
    """See `migrations.alembic_migrations`."""

    ini: Path
    revision: str
    version: str

    @classmethod
    def of(cls, ini: Path, revision: str, version: str) -> AlembicUpgrade:
        """Raises ConfigurationError if Alembic isn't installed, or there is no such file."""
        try:
            import alembic  # noqa: F401
        except ImportError:
            raise ConfigurationError("Alembic isn't installed: pip install alembic") from None
        if not ini.is_file():
            raise ConfigurationError(f"there is no {str(ini)!r}")
        return cls(ini.absolute(), revision, version)

    def apply(self, place: IsolatedPlace) -> None:
        """See Migrations."""
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from sqlalchemy.pool import NullPool

        config = Config(str(self.ini), stdout=io.StringIO())
        config.set_main_option("sqlalchemy.url", self._url(config.get_main_option("sqlalchemy.url"), place))
        engine = place.engine(poolclass=NullPool)
        with _ONE_AT_A_TIME, _logging_kept(), _only(place), engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, self.revision)
            connection.commit()
            heads = MigrationContext.configure(connection).get_current_heads()
            connection.rollback()
        if not heads and ScriptDirectory.from_config(config).get_heads():
            raise MigrationError(
                "Alembic has migrated something else: env.py has to use the connection of "
                "config.attributes['connection'], or sqlalchemy.url"
            )

    def _contents(self) -> Iterable[bytes]:
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory.from_config(Config(str(self.ini)))
        yield from (b"alembic", self.revision.encode(), self.version.encode(), self.ini.read_bytes())
        places = {Path(scripts.dir), *map(Path, scripts.version_locations or ())}
        for file in sorted({file for place in places for file in place.rglob("*.py")}):
            yield file.name.encode()
            yield file.read_bytes()

    def _url(self, configured: str | None, place: IsolatedPlace) -> str:
        """Returns the place's URL for the driver that is configured, as the file's own would be written."""
        driver = "postgresql+psycopg"
        try:
            if configured and (named := make_url(configured).drivername).startswith("postgresql+"):
                driver = named
        except ArgumentError:
            pass
        return place.dsn.replace("postgresql://", f"{driver}://", 1).replace("%", "%%")


@contextmanager
def _only(place: IsolatedPlace) -> Iterator[None]:
    """Refuses connections of this thread to other databases, and hands asyncpg the search path."""
    thread = threading.get_ident()
    database = conninfo_to_dict(place.dsn).get("dbname")

    def check(dialect: Any, _: object, __: object, parameters: dict[str, Any]) -> None:
        if threading.get_ident() != thread:
            return
        asked = parameters.get("dbname") or parameters.get("database")
        if asked != database:
            raise MigrationError(
                f"env.py connects to the database {asked!r}, not to {database!r}: let it use the connection "
                "of config.attributes['connection'], or sqlalchemy.url"
            )
        if dialect.driver == "asyncpg" and parameters.pop("options", None):
            parameters["server_settings"] = place.asyncpg_arguments()["server_settings"]

    event.listen(Engine, "do_connect", check)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", check)


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Undoes what env.py's fileConfig does to loggers: it turns off all that are there already."""
    root = logging.getLogger()
    loggers = [root, *(one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    before = [(one, one.disabled, one.level, one.propagate, one.handlers[:]) for one in loggers]
    try:
        yield
    finally:
        for logger, disabled, level, propagate, handlers in before:
            logger.disabled, logger.propagate, logger.handlers[:] = disabled, propagate, handlers
            logger.setLevel(level)
