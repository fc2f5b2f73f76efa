"""The report of the doctor: frozen values, no database. Text in it may be the server's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.snapshot.connection_usage import ConnectionGroup

Status = Literal["works", "partly", "missing", "unknown"]
Support = Literal["supported", "untested"]

MOST_SKEW_S = 1.0


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that couldn't be read, and the reason."""

    reason: str
    denied: bool = False
    """Whether the role lacks a privilege for it."""
    timed_out: bool = False
    """Whether the server gave up waiting, as for a lock."""


@dataclass(frozen=True, slots=True)
class Role:
    """The role that we connect as, and whose privileges it has. A superuser has all."""

    role: str
    superuser: bool
    inherits: bool
    """Whether a role that is granted to it takes effect by itself (rolinherit)."""
    reads_all_stats: bool
    signals_backends: bool


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions as one poll of the lock tree showed them."""

    clients: int
    hidden: int
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """A database's or role's own CONNECTION LIMIT, and how much of it is used. It doesn't bind superusers."""

    kind: Literal["database", "role"]
    name: str
    most: int
    used: int

    @property
    def nearly_used_up(self) -> bool:
        """Whether more than 80 % of it is taken."""
        return self.used > 0.8 * self.most


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of the server's connections and lock table, and by whom."""

    capacity: Capacity
    groups: tuple[ConnectionGroup, ...]
    """The groups that have connections, the largest first."""
    limits: tuple[ConnectionLimit, ...]


@dataclass(frozen=True, slots=True)
class TableAccess:
    """A table of the database and what the role may read of it."""

    schema: str
    table: str
    is_foreign: bool
    schema_usage: bool
    readable: bool
    """All of its columns."""
    key_readable: bool | None
    """The columns of its primary key; None without one."""
    row_security: bool
    """Policies hide rows from the role."""


@dataclass(frozen=True, slots=True)
class PreparedTransactions:
    """The server's prepared transactions."""

    most: int
    present: int
    of_others: int


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The database `postgres`. `error` is what connecting to it said, None if it went well."""

    exists: bool
    permitted: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that pgwatch-tests does, and whether it can here.

    `partly`: the rest is optional, or no privilege could give it. `missing`: `fix` would make it work.
    """

    id: str
    name: str
    status: Status
    detail: str
    fix: tuple[str, ...] = ()
    """SQL statements, each with its semicolon, for somebody with the right to run them."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting, how it is, and how it would be better. It helps; nothing depends on it."""

    setting: str
    value: str
    better: str | None
    """None if it is fine as it is."""
    why: str
    how: tuple[str, ...] = ()
    restart: bool = False
    """Whether the server must be restarted after `how`."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Offset of the server's clock from this machine's, in seconds: positive if it is ahead."""

    skew_s: float
    uncertainty_s: float
    """Half the round trip."""

    @property
    def is_off(self) -> bool:
        """Whether the offset is surely more than a second."""
        return abs(self.skew_s) - self.uncertainty_s > MOST_SKEW_S


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the server. No password is ever in here."""

    host: str
    port: int
    database: str
    user: str
    encryption: Literal["TLS", "GSSAPI", "none"]
    local: bool
    """Over a Unix socket."""


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found out about one server as one role."""

    checked_at: datetime
    place: Endpoint
    server_version: str
    support: Support
    role: Role | Unread
    standby: bool | Unread
    features: tuple[Feature, ...]
    advice: tuple[Advice, ...] | Unread
    clock: Clock | Unread
    usage: Usage | Unread
    pooled: bool = False
    """Whether a connection pooler is in between."""
    unreached: str | None = None
    """Why the database itself couldn't be connected to: then all was asked from the maintenance database."""

    @property
    def works(self) -> bool:
        """Whether no feature is missing."""
        return all(feature.status != "missing" for feature in self.features)

    @property
    def complete(self) -> bool:
        """Whether everything could be determined."""
        others: list[object] = [self.role, self.standby, self.advice, self.clock]
        if not (isinstance(self.usage, Unread) and self.usage.denied):
            others.append(self.usage)  # if denied, a feature is missing for the same reason
        return not any(isinstance(one, Unread) for one in others) and all(
            feature.status != "unknown" for feature in self.features
        )
