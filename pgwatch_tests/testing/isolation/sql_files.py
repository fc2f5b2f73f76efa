"""SQL files as migrations: sent as one message; an error names the file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import errors

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.migrations import MigrationError, Migrations
from pgwatch_tests.testing.isolation.typed_statements import statements
from pgwatch_tests.text.sql_tokens import tokens

_XID = "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text"
_BETWEEN = "\n;\n"
# Outside of strings, at the beginning of a line: a command of psql, or the end of data of its COPY.
_PSQL = re.compile(r"^[ \t]*\\[a-z!?.]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str


class SqlFiles(Migrations):
    """See `migrations.sql_migrations`."""

    def __init__(self, files: tuple[_File, ...]) -> None:
        self._files = files
        self._is_inside = False
        """Whether they were seen to make nothing outside of a schema: they always do the same."""

    @classmethod
    def of(cls, paths: Iterable[Path]) -> SqlFiles:
        """Reads the files. Raises ConfigurationError."""
        return cls(tuple(_read(file) for path in paths for file in _files(path)))

    def apply(self, place: IsolatedPlace) -> None:
        """See Migrations."""
        try:
            with place.session() as connection:
                cursor = connection.execute(
                    _BETWEEN.join((*(file.text for file in self._files), _XID)).encode()
                )
                while cursor.nextset():
                    pass
                xid = cursor.fetchone()
                if place.search_path and xid is not None:
                    self._check_inside(connection, place, str(xid[0]))
        except (errors.ActiveSqlTransaction, errors.UnsafeNewEnumValueUsage):
            # The message was one transaction, so nothing of it is there.
            self._apply_each(place)
        except psycopg.Error as error:
            raise self._told(error) from error

    def _check_inside(self, connection: OwnConnection, place: IsolatedPlace, xid: str) -> None:
        if self._is_inside:
            return
        parameters = {"schema": place.name, "xid": xid}
        found = connection.execute(queries.load("isolation/made_outside"), parameters).fetchone()
        if found is None:
            self._is_inside = True
            return
        what, is_extension = found
        if is_extension:
            raise MigrationError(
                f"the migrations create the extension {what} in the test's schema, where no other test sees "
                "it: create it once, in a schema that `beside` names, or use isolated_database"
            )
        raise MigrationError(
            f"the migrations make {what}, outside of the test's schema: leave the schema to the search path, "
            "or use isolated_database"
        )

    def _apply_each(self, place: IsolatedPlace) -> None:
        with place.session() as connection:
            for file in self._files:
                for start, statement in statements(file.text):
                    try:
                        connection.execute(statement.encode())
                    except psycopg.Error as error:
                        raise _at(file, start + _position(error), error) from error

    def _told(self, error: psycopg.Error) -> MigrationError:
        position = _position(error)
        for file in self._files:
            if position <= len(file.text):
                return _at(file, position, error)
            position -= len(file.text) + len(_BETWEEN)
        return MigrationError(f"the migrations failed: {server_message(error)}")

    def _contents(self) -> Iterable[bytes]:
        yield b"sql"
        for file in self._files:
            yield file.name.encode()
            yield file.text.encode()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.sql"))
    if not found:
        raise ConfigurationError(f"no .sql files in {str(path)!r}")
    return found


def _read(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"migrations can't be read: {error}") from None
    commands = {match.end() - 2 for match in _PSQL.finditer(text)}
    for token in tokens(text) if commands else ():
        if token.start in commands:
            line = text.count("\n", 0, token.start) + 1
            raise ConfigurationError(
                f"{path.name}, line {line}: commands of psql aren't SQL (pg_dump --inserts writes none)"
            )
    return _File(path.name, text)


def _position(error: psycopg.Error) -> int:
    """The place of an error in the message, from 0; 0 if the server doesn't tell."""
    return max(0, int(error.diag.statement_position or 1) - 1)


def _at(file: _File, position: int, error: psycopg.Error) -> MigrationError:
    line = file.text.count("\n", 0, position) + 1
    return MigrationError(f"{file.name}, line {line}: {server_message(error)}")
