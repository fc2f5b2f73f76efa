"""The fence around a schema that somebody confirmed: another name, while it is dropped.

No lease tells whether its run is over: a test may be about to use it, or to create something in it. Whoever
does so finds it by its name, and holds a lock from then on. Once it has another name and nobody holds a lock,
nobody reaches it any more: what was confirmed is all there is, however many portions its drop takes.

All is looked at before the COMMIT of the new name, so that nobody sees that name if something has changed;
and once more after it, for whoever came in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import Escaping

from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.sweep.orphans.orphan_facts import SchemaFacts
from pgwatch_tests.sweep.orphans.orphan_loop import OrphanKeptError, check_confirmed, leased
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.sweep.orphans.schema_drop import check_droppable, kept_by_server, told_of
from pgwatch_tests.text.plain_text import plain

_STATEMENTS = 4  # in the transaction of the new name


def schema_facts(connection: OwnConnection, name: str) -> SchemaFacts | None:
    """Returns what is in a schema; None if it is gone. Raises psycopg.Error."""
    return told_of(connection, name, "schema_facts", SchemaFacts)


def check_unchanged(connection: OwnConnection, name: str, confirmed: str) -> None:
    """Raises OrphanKeptError unless a schema is what was confirmed; psycopg.Error."""
    check_confirmed(_identity(connection, name), confirmed)


@contextmanager
def fenced(session: DatabaseSession, beside: OwnConnection, schema: str, confirmed: str) -> Iterator[str]:
    """Renames a schema, checks that it is what was confirmed and that nobody uses it, yields its new name.

    After an error it has its name again if all of it is still there. What is left of a part has the name of
    an orphan: the next sweep continues. `beside` is a second connection to its database, in no transaction.
    Raises OrphanKeptError if it stays, and what `session.running` does.
    """
    name, is_renamed, is_checked = orphan_name(), False, False
    with leased(session, name):
        try:
            with _kept_otherwise(), session.running(_STATEMENTS), session.connection.transaction():
                _rename(session.connection, schema, name)
                _check(session.connection, name, confirmed)
            is_renamed = True
            _check(beside, name, confirmed)
            is_checked = True
            yield name
        except (psycopg.Error, PgwatchError) as error:
            try:
                # There is none, too, if the new name wasn't committed.
                left = _identity(beside, name)
                if left and (left == confirmed or not is_checked):
                    _rename(beside, name, schema)
                    left = ""
            except psycopg.Error as failure:
                why = full_server_message(failure)
                if beside.closed and isinstance(error, psycopg.Error | OrphanKeptError):
                    # It is what was looked with: the error is only that there was no looking.
                    error = ConnectionLostError(f"the connection was lost: {why}")
                raise _called(schema, name, error, why, is_sure=is_renamed) from None
            if left:
                raise _called(schema, name, error) from None
            raise


@contextmanager
def _kept_otherwise() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise kept_by_server(error) from None


def _check(connection: OwnConnection, name: str, confirmed: str) -> None:
    check_unchanged(connection, name, confirmed)
    check_droppable(connection, name)


def _identity(connection: OwnConnection, name: str) -> str:
    facts = schema_facts(connection, name)
    return "" if facts is None else facts.identity


def _rename(connection: OwnConnection, before: str, after: str) -> None:
    escaping = Escaping(connection.pgconn)
    connection.execute(b"ALTER SCHEMA %b RENAME TO %b" % (quoted(before, escaping), quoted(after, escaping)))


def _called(schema: str, name: str, error: Exception, why: str = "", *, is_sure: bool = True) -> Exception:
    """The error, with the name that what is left of a schema has from now on, and why."""
    called = f"{'is' if is_sure else 'may be'} called {name} now"
    called += f" ({why})" if why and why not in str(error) else ""
    if isinstance(error, OrphanKeptError):
        return OrphanKeptError(error.reason, f"{error}; it {called}")
    if isinstance(error, PgwatchError):
        return type(error)(f"{error}; what is left of {plain(schema)} {called}")
    return error
