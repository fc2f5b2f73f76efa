"""A lane: a database of a run's own, copied from a template, so that no other run is in its way.

It is called as what tests make (`test_<ms>_<pid>_<random>`), and its lease is held: what a killed run leaves
is an orphan to a sweep. It is dropped in the end, whoever is connected to it by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from pgwatch_tests.errors import ConfigurationError, PgwatchError, RefusedError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import database_name, normalise
from pgwatch_tests.postgres.server_messages import server_clause
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.testing.isolation.databases.database_pool import drop_leased, make_leased
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.kept_places import keep, note_kept
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions
from pgwatch_tests.text.plain_text import plain

VARIABLES = ("DATABASE_URL", "PGWATCH_DSN")
_URL = re.compile(r"(?P<place>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(?:/[^?#]*)?(?:\?(?P<query>[^#]*))?")
# GUC_LIST_QUOTE, src/backend/utils/misc/guc_tables.c: their values are lists of names, quoted already.
_LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries")
_LISTED = re.compile(r'"((?:[^"]|"")+)"|([^",\s]+)')
_NAMED = 3


class Lane:
    """One lane. `settings` are those of the run, in it; `environment` is what the command gets besides."""

    def __init__(
        self, settings: Settings, template: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        """Makes it: a copy of `template`, by default of the database that the settings name.

        Raises RefusedError (somebody is connected to the template, it isn't there, or there is no right to
        copy it; a pooler in between), CannotConnectError, ConfigurationError.
        """
        if template.encode("utf-8", "replace").decode() != template:
            raise ConfigurationError(f"--lane: a name in UTF-8 is needed, not {plain(template)}")
        self._sessions = OwnSessions(settings.dsn.value, settings.dsn.source)
        self.template = template or database_name(settings.dsn) or self._own_database()
        self.name = orphan_name()
        self.remarks: list[str] = []
        try:
            make_leased(self._sessions, self._copy, self.name)
        except psycopg.Error as error:
            reason = self._refusal(error)
            self._sessions.close()
            raise RefusedError(reason) from None
        except BaseException:
            self._sessions.close()
            raise
        self._place = IsolatedPlace.database(settings.dsn.value, self.name)
        self.settings = _in_lane(settings, self._place)
        self.environment = _environment(environ or {}, self._place)

    def close(self, *, kept: bool = False) -> str:
        """Drops it, or has it stay for a day if it is `kept`. Returns a sentence if it is still there."""
        try:
            if kept:
                until = keep(self._place)
                note_kept(self._sessions.outside.connection(), self._place, "DATABASE")
                self._sessions.outside.free(self.name)
                return f"the lane {self.name} is kept until {until}: DROP DATABASE {self.name} ends it before"
            drop_leased(self._sessions, self.name)
            return ""
        except (psycopg.Error, PgwatchError) as error:
            why = server_clause(error) if isinstance(error, psycopg.Error) else str(error)
            return f"the lane {self.name} wasn't dropped ({why}): a sweep takes it"
        finally:
            self._sessions.close()

    def _own_database(self) -> str:
        with self._sessions.inside.connection() as connection:
            return connection.info.dbname

    def _copy(self, connection: OwnConnection, name: str) -> None:
        copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(self.template)
        )
        connection.execute(copied)
        self._copy_settings(connection, name)

    def _copy_settings(self, connection: OwnConnection, name: str) -> None:
        """Has the lane the template's settings (ALTER DATABASE … SET), which a copy leaves out."""
        rows = connection.execute(queries.load("run/database_settings").encode(), {"database": self.template})
        for (setting,) in rows.fetchall():
            parameter, _, value = str(setting).partition("=")
            form = _names(value) if parameter in _LISTS and value else sql.Literal(value)
            statement = sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
                sql.Identifier(name), sql.Identifier(*parameter.split(".")), form
            )
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                self.remarks.append(
                    f"the lane doesn't have {parameter} as {self.template}: {server_clause(error)}"
                )

    def _refusal(self, error: psycopg.Error) -> str:
        if isinstance(error, errors.ObjectInUse):
            who = ""
            with suppress(psycopg.Error, PgwatchError):
                rows = self._sessions.outside.connection().execute(
                    queries.load("isolation/connected").encode(), {"database": self.template}
                )
                connected = [
                    f"pid {pid} ({name or 'no application name'})" for pid, name, _ in rows.fetchall()
                ]
                more = f" and {len(connected) - _NAMED:,} more" if len(connected) > _NAMED else ""
                who = f": {', '.join(connected[:_NAMED])}{more}"
            return (
                f"{self.template} can't be copied while others are connected to it{who}. Close them, or name "
                "a template that nobody uses (--lane=TEMPLATE; --lane=template0 is an empty one)"
            )
        if isinstance(error, errors.InsufficientPrivilege):
            return f"no lane can be made: {server_clause(error)} (needs CREATEDB, and to own {self.template})"
        return f"no lane can be made from {self.template}: {server_clause(error)}"


def _names(value: str) -> sql.Composable:
    """A list of names as the server keeps it: `"$user", public`."""
    names = [quoted.replace('""', '"') or bare for quoted, bare in _LISTED.findall(value)]
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _in_lane(settings: Settings, place: IsolatedPlace) -> Settings:
    return replace(settings, dsn=Dsn(place.dsn, "the lane"))


def _environment(environ: Mapping[str, str], place: IsolatedPlace) -> dict[str, str]:
    """What leads the command into the lane: the variables as they were, in its database."""
    given = {
        name: _with_database(environ[name], place.name) if environ.get(name) else place.dsn
        for name in VARIABLES
    }
    return {**given, "PGDATABASE": place.name}


def _with_database(dsn: str, name: str) -> str:
    """A connection string as it was, with its scheme and all its parameters, for another database."""
    match = _URL.fullmatch(dsn.strip())
    if match is None:
        return make_conninfo(normalise(Dsn(dsn, "the DSN"))[0], dbname=name)
    parts = [part for part in (match["query"] or "").split("&") if part and not part.startswith("dbname=")]
    return f"{match['place']}/{quote(name, safe='')}{'?' if parts else ''}{'&'.join(parts)}"
