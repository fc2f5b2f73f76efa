"""What is known of one schema or prepared transaction, for the question whether it goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pgwatch_tests.sweep.request import SweepPart


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The row of queries/sweep/schema_facts.sql."""

    identity: str
    database: str
    owner: str
    tables: int
    others: int
    rows: int
    changed_s: float | None


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session that has to do with an orphan; the name is foreign text."""

    pid: int
    application_name: str


@dataclass(frozen=True, slots=True)
class OrphanFacts:
    """What is known of an orphan of a kind that only somebody who was asked may remove."""

    part: SweepPart
    """It, with its identity as `confirmed`: what a sweep is asked for after a yes."""
    database: str
    owner: str
    why_not: str = ""
    """Why it can't be removed now; empty if it can."""
    age_s: float | None = None
    """Since it was prepared; of a schema, since anything in it was last created or altered, if known."""
    tables: int = 0
    others: int = 0
    """Views, sequences and foreign tables."""
    rows: int = 0
    """As the planner and the statistics think, without counting."""
    size_bytes: int | None = None
    """None if that isn't known: there are many tables, or one is locked."""
    sessions: int = 0
    """Other clients in the database."""
    hidden: int = 0
    """Those of them whose statements our role can't see."""
    users: tuple[SeenSession, ...] = ()
    """Those whose last statement names the schema."""
    locks: tuple[str, ...] = ()
    """The relations that a prepared transaction has locked."""
    waiters: tuple[SeenSession, ...] = ()
    """The sessions that wait for it."""
