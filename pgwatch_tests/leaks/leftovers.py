"""Leftovers other than rows, in one database: schemas, sessions, prepared transactions, locks …

Each kind is one short statement on catalogs and functions only, so that no test waits for any of them.

A new kind: write `queries/leftovers/<kind>.sql`, which returns columns of `_Candidate` (`name` and `detail`
at least); name the kind, with its nouns, in `LeftoverKind` and `LEFTOVER_NOUNS` of `leaks/model.py`.
Options, gates and reports take it from there. `gate.DEFAULT_KINDS` says what is looked for by default.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

import psycopg
from psycopg import errors
from psycopg.rows import class_row

from pgwatch_tests.identity import application_name
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.gate import ALL_KINDS, SINCE_KINDS
from pgwatch_tests.leaks.model import Leftover, LeftoverKind, LeftSession, Unchecked
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.secrets import mask_name, mask_statement, mask_text
from pgwatch_tests.text.sql_names import identifier, qualified

IDLE_IN_TRANSACTION_AFTER_S = 5.0
"""Seconds idle in a transaction that make a session a leftover: running tests are idle at times."""

_STATEMENT_CHARACTERS = 60
# Where data may begin: a string, plain or dollar-quoted, but not `$1`.
_LITERAL = re.compile(r"'|\$(?![0-9])")

_SETTING = "session_replication_role"
# By the first word of `mend` in queries/leftovers/disabled_trigger.sql; PostgreSQL manual, ALTER TABLE.
_OF_TABLES = {
    "enable": "ENABLE TRIGGER {name}",
    # A constraint's own triggers have names that only the server knows.
    "enable all": "ENABLE TRIGGER ALL",
    "validate": "VALIDATE CONSTRAINT {name}",
    "enforce": "ALTER CONSTRAINT {name} ENFORCED",
    # Up to 18, ENFORCED is for foreign keys only.
    "make again": "DROP CONSTRAINT {name}, then add it without NOT ENFORCED",
}

# Its sessions hold locks for one client after another.
_POOLED = Unchecked(
    "advisory_lock",
    "behind a connection pooler, their owners are unknown",
    "connect to the server directly",
)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The leftovers that were found, and the kinds that couldn't be checked fully."""

    kinds: tuple[LeftoverKind, ...]
    found: tuple[Leftover, ...]
    unchecked: tuple[Unchecked, ...]

    def beside(self, more: Leftovers) -> Leftovers:
        """Returns both together."""
        return Leftovers(
            (*self.kinds, *more.kinds), (*self.found, *more.found), (*self.unchecked, *more.unchecked)
        )


_Connected = tuple[int, str | None, str | None, str | None, str | None, float | None]
"""Pid, application's name, user, client, state and seconds in that state; None where it isn't visible."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row of one of queries/leftovers/."""

    name: str
    detail: str
    age_s: float | None = None
    application_name: str = ""
    statement: str | None = None
    connected: Sequence[_Connected] | None = None
    """Some of the sessions that keep a database from being dropped."""
    mend: Sequence[str | None] | None = None
    """The repair and its names, as `_mending` takes them."""
    obstacle: str | None = None
    """Why it isn't known whether this is a leftover."""
    pid: int | None = None
    backend_start: datetime | None = None


def look(
    session: DatabaseSession,
    settings: Settings,
    role: str,
    kinds: Collection[LeftoverKind],
    baseline: Baseline | None = None,
) -> Leftovers:
    """Returns the leftovers of `kinds` in the session's database; `role` is the connected one.

    A schema or database is a test's if a glob of the settings fits its name. Schemas, prepared transactions
    and large objects count only if they weren't there at the baseline. Kinds that need one are for
    `find_changes_since`. A kind that can't be read is in `unchecked`. Raises ConnectionLostError and
    WorkCancelledError.
    """
    wanted = tuple(kind for kind in ALL_KINDS if kind in kinds and kind not in SINCE_KINDS)
    fits = {"schema": settings.test_schemas, "database": settings.leftover_databases}
    leftovers: list[Leftover] = []
    unchecked: list[Unchecked] = []
    for kind in wanted:
        if kind == "advisory_lock" and session.connection.pooled is not False:
            unchecked.append(_POOLED)
            continue
        try:
            candidates = [
                one
                for one in _candidates(session, kind, baseline)
                if not _was_there(kind, one.name, baseline)
            ]
            patterns = fits.get(kind)
            if patterns is not None:
                candidates = [one for one in candidates if matches(one.name, patterns)]
                candidates = _confirmed(session, kind, candidates)
        except psycopg.Error as error:
            unchecked.append(unreadable(kind, error))
            continue
        leftovers.extend(_leftover(kind, one) for one in candidates if one.obstacle is None)
        unchecked.extend(_unjudged(kind, candidates, role))
    return Leftovers(wanted, tuple(leftovers), tuple(unchecked))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of `patterns`, or fits one as a glob (`*`, `?`, `[0-9]`); case matters."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _was_there(kind: LeftoverKind, name: str, baseline: Baseline | None) -> bool:
    """Whether a schema was there at the baseline; older baselines don't tell."""
    return (
        kind == "schema"
        and baseline is not None
        and any(one.kind == "schema" and one.name == name for one in baseline.objects or ())
    )


def _confirmed(
    session: DatabaseSession, kind: LeftoverKind, candidates: Sequence[_Candidate]
) -> list[_Candidate]:
    """Returns the schemas or databases that a second look finds without a lease, too.

    A statement sees the names as they were when it began, and the leases as they are a moment later: one that
    its owner drops in between would be accused. Owners take the lease before they make a thing, and give it
    back once it is gone. So what is still there when the second look begins had its lease, if it has an
    owner, when the first look read the leases.
    """
    if not candidates:
        return []
    seen = {one.name for one in candidates}
    return [one for one in _candidates(session, kind, None) if one.name in seen]


def _candidates(session: DatabaseSession, kind: LeftoverKind, baseline: Baseline | None) -> list[_Candidate]:
    parameters: Mapping[str, object] | None = None
    if kind in ("idle_in_transaction", "advisory_lock"):
        parameters = {"own_name": OWN_NAME, "at_least_s": IDLE_IN_TRANSACTION_AFTER_S}
    if kind == "large_object":
        parameters = _seen_by(baseline)
    if kind == "prepared_transaction":
        parameters = {"since": None if baseline is None else baseline.server.read_at}
    query = queries.load(f"leftovers/{kind}").encode()

    def read(connection: OwnConnection) -> list[_Candidate]:
        with connection.cursor(row_factory=class_row(_Candidate)) as cursor:
            return cursor.execute(query, parameters).fetchall()

    return session.run(read)


def _seen_by(baseline: Baseline | None) -> dict[str, object]:
    if baseline is None:
        return dict.fromkeys(("oldest", "span", "firsts", "lasts"))
    oldest = baseline.xmin
    return {
        "oldest": oldest,
        "span": baseline.xmax - oldest,
        "firsts": [first - oldest for first, _ in baseline.running],
        "lasts": [last - oldest for _, last in baseline.running],
    }


def described(name: str, detail: str, statement: str | None) -> str:
    """Returns the test or application, the detail, and the beginning of the last statement, on one line."""
    last = f"last: {first_words(statement)}" if statement else ""
    return ", ".join(part for part in (_who(name), mask_text(detail), last) if part)


def _leftover(kind: LeftoverKind, one: _Candidate) -> Leftover:
    # A clock behind the one that made the name's stamp doesn't make it younger than now.
    age_s = None if one.age_s is None else max(0.0, one.age_s)
    detail = described(one.application_name, one.detail, one.statement)
    if one.connected:
        detail += f"; connected: {'; '.join(map(_connected, one.connected))}"
    identity = application_name.parse(one.application_name)
    test = identity.test if identity else mask_name(one.application_name)
    hint = _mending(one.mend) if one.mend else ""
    session = LeftSession(one.pid, one.backend_start) if one.pid and one.backend_start else None
    return Leftover(kind, one.name, detail, age_s, test, hint, session)


def _connected(session: _Connected) -> str:
    """`pid 4711: test t.py::test_a (pytest gw0), user app, client local, idle for 12 s`."""
    pid, name, user, client, state, for_s = session
    since = "" if for_s is None else f" for {durations.in_words(for_s)}"
    parts = (
        _who(name or ""),
        f"user {user}" if user else "",
        f"client {client}" if client else "",
        f"{state or 'state hidden'}{since}",
    )
    return f"pid {pid}: {', '.join(filter(None, parts))}"


def _who(name: str) -> str:
    name = mask_name(name)
    test = application_name.parse(name)
    return f"test {test.test} ({test.runner} {test.worker})".replace(" )", ")") if test else name


def first_words(statement: str) -> str:
    """Returns the beginning of a statement, on one line: at most 60 characters, and nothing from its first
    literal on."""
    line = " ".join(mask_statement(statement).split())
    literal = _LITERAL.search(line)
    end = min(_STATEMENT_CHARACTERS, literal.start() if literal else len(line))
    return line if end >= len(line) else f"{line[:end].rstrip()} …"


def unreadable(kind: LeftoverKind, error: psycopg.Error) -> Unchecked:
    """Returns the entry of a kind whose statement failed."""
    if isinstance(error, errors.LockNotAvailable):
        return Unchecked(kind, "a catalog is locked", "`pgwatch-tests locks` shows by whom")
    return Unchecked(kind, f"can't be read: {server_message(error)}")


def _unjudged(kind: LeftoverKind, candidates: Sequence[_Candidate], role: str) -> Iterator[Unchecked]:
    """Returns an entry for each obstacle that was met."""
    for obstacle, number in Counter(one.obstacle for one in candidates).items():
        if obstacle is not None:
            yield _OBSTACLES[obstacle](kind, number, role)


def _hidden(kind: LeftoverKind, number: int, role: str) -> Unchecked:
    what = "lock" if kind == "advisory_lock" else "session"
    return Unchecked(
        kind, f"{plural(number, what)} of other roles not visible: needs pg_monitor", _grant_monitor(role)
    )


def _untracked(kind: LeftoverKind, number: int, _: str) -> Unchecked:
    return Unchecked(
        kind,
        f"{plural(number, 'session')} without a state: track_activities is off",
        "turn track_activities on",
    )


def _unnumbered(kind: LeftoverKind, number: int, _: str) -> Unchecked:
    return Unchecked(
        kind,
        f"before PostgreSQL 16, the owner of {plural(number, 'temporary schema')} is unknown while "
        "sessions are connected",
        "check once nobody else is connected to this database",
    )


_OBSTACLES: Mapping[str, Callable[[LeftoverKind, int, str], Unchecked]] = {
    "hidden": _hidden,
    "untracked": _untracked,
    "unnumbered": _unnumbered,
}


def _grant_monitor(role: str) -> str:
    return f"GRANT pg_monitor TO {identifier(role)}"


def _mending(mend: Sequence[str | None]) -> str:
    """The statement, or else what to do, from what is to be done and the names that it takes.

    These are schema, table and trigger or constraint, or for `reset` role and database, None for all of them.
    """
    what, *names = mend
    if what == "configure":
        return f"take {_SETTING} out of the server's configuration, and reload it"
    if what == "reset":
        return _resetting(*names)
    schema, table, name = (part or "" for part in names)
    return f"ALTER TABLE {qualified(schema, table)} {_OF_TABLES[what or ''].format(name=identifier(name))}"


def _resetting(role: str | None, database: str | None) -> str:
    if role is None and database is not None:
        whose = f"DATABASE {identifier(database)}"
    else:
        whose = f"ROLE {'ALL' if role is None else identifier(role)}"
        whose += "" if database is None else f" IN DATABASE {identifier(database)}"
    return f"ALTER {whose} RESET {_SETTING}"
