"""The reader of a baseline: a few statements on catalogs, and on tables only if their content is wanted."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from psycopg import errors

from pgwatch_tests.errors import ConfigurationError, NotCheckedError
from pgwatch_tests.leaks.baseline import relations
from pgwatch_tests.leaks.baseline.baseline import Baseline, Server, ranges, still_running
from pgwatch_tests.leaks.baseline.content_reader import ContentReader
from pgwatch_tests.leaks.baseline.object_reader import read_objects, read_positions
from pgwatch_tests.leaks.model import ProgressCallback
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings

_ATTEMPTS = 50
_PAUSE_S = 0.02
# Each range is in the statements of a comparison, once per table.
_MOST_RANGES = 500


@dataclass(frozen=True, slots=True)
class _Snapshot:
    snapshot: str
    running: list[int] | None


def take(settings: Settings, *, content: bool = False, progress: ProgressCallback | None = None) -> Baseline:
    """Returns the state of the database that `settings.dsn` names; with the `content` of its tables, if
    asked for.

    `progress` is told how many tables were read. What of them can't be read is said in the content itself.
    Raises CannotConnectError, ConnectionLostError, ConfigurationError (a standby) and NotCheckedError (the
    catalogs are locked, or it can't be told which transactions still run).
    """
    with closing(DatabaseSession(settings)) as session:
        session.open()
        try:
            # In this order, each statement with statistics read anew: what is reset or committed between two
            # of them makes a difference later, and never the other way round.
            server = read_server(session)
            if server.in_recovery:
                raise ConfigurationError("no baseline can be taken on a standby: connect to the primary")
            all_tables = relations.read(session)
            snapshot, running = _snapshot(session)
            identifier = read_system_identifier(session)
            objects = read_objects(session)
            sequences = read_positions(session, objects).read
            baseline = Baseline(
                taken_at=server.read_at,
                server=server,
                system_identifier=identifier,
                snapshot=snapshot,
                running=running,
                tables=tuple(relation.fingerprint for relation in all_tables if relation.kind != "f"),
                objects=tuple(one.object for one in objects),
                sequences=sequences,
            )
            if content:
                role = session.identity().role
                reader = ContentReader(session, settings, progress)
                baseline = replace(baseline, content=reader.read(all_tables, role, baseline))
        except psycopg.Error as error:
            raise NotCheckedError(
                f"no baseline taken: the catalogs can't be read: {server_message(error)}"
            ) from error
        return replace(baseline, away_s=tuple(session.away_s))


def read_server(session: DatabaseSession) -> Server:
    """Returns the session's database and the state of its statistics. Raises psycopg's errors."""
    return session.ask("baseline/server", Server)[0]


def read_system_identifier(session: DatabaseSession) -> str | None:
    """Returns the cluster's system identifier; None if the role may not read it.

    Raises psycopg's other errors.
    """
    try:
        return session.ask_values("baseline/system", str)[0]
    except errors.InsufficientPrivilege:
        return None


def _snapshot(session: DatabaseSession) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Returns the visible snapshot, and the transactions that still run."""
    for _ in range(_ATTEMPTS):
        seen = session.ask("baseline/snapshot", _Snapshot)[0]
        if seen.running is None:
            raise NotCheckedError(
                "no baseline taken: a transaction has been open for more than two million others. "
                "End it: `pgwatch-tests locks` and pg_stat_activity show sessions idle in transaction"
            )
        # One that ended meanwhile may have had subtransactions that nothing shows any more.
        if still_running(seen.snapshot) <= set(seen.running):
            return seen.snapshot, _few(ranges(seen.running))
        session.pause(_PAUSE_S)
    raise NotCheckedError("no baseline taken: too many transactions are ending. Run it again")


def _few(running: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    if len(running) > _MOST_RANGES:
        raise NotCheckedError(
            "no baseline taken: too many transactions and savepoints are open. Take it while the suite "
            "doesn't run"
        )
    return running
