"""The loop over orphans of one kind: whether each may go (leased? young? ours?), a dry run, its removal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.postgres import leases
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.sweep.model import KeptReason, Orphan
from pgwatch_tests.sweep.orphans.orphan_names import NOT_LEASED, is_orphan_name, kept_for_age
from pgwatch_tests.sweep.request import SweepRequest

Stopped = Callable[[], bool]
"""Whether the sweep was told to stop: asked before each orphan."""


class OrphanKeptError(RefusedError):
    """An orphan, or what is left of it, stays: `reason` is the kind of reason, the message its detail."""

    def __init__(self, reason: KeptReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SweptOrphans:
    """The orphans, also those that stay, and one sentence per thing that couldn't be looked at."""

    orphans: tuple[Orphan, ...] = ()
    not_checked: tuple[str, ...] = ()
    error: PgwatchError | None = None
    """The error that ended it early: then there may be more orphans than those."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be an orphan. `check` and `remove` raise OrphanKeptError if it stays."""

    orphan: Orphan
    """The orphan as reported if it is removed. If it stays, its `detail` follows the reason."""
    check: Callable[[], None]
    remove: Callable[[], None]


def sweep_each(candidates: Iterable[Candidate], request: SweepRequest, stopped: Stopped) -> SweptOrphans:
    """Removes each that may go, or says in a dry run that it would, up to an error that ends it.

    Doesn't raise psycopg.Error: such an orphan is kept as `refused`. Raises WorkCancelledError.
    """
    swept: list[Orphan] = []
    for one in candidates:
        if not request.asks_for(one.orphan.kind, one.orphan.name):
            continue
        try:
            swept.append(_swept(one, request, stopped))
        except WorkCancelledError:
            raise
        except PgwatchError as error:
            unknown = f"{error}: not known whether it was removed"
            return SweptOrphans((*swept, _kept(one.orphan, "not_checked", unknown)), error=error)
    return SweptOrphans(tuple(swept))


def merged(parts: Iterable[SweptOrphans]) -> SweptOrphans:
    """Returns the orphans of several kinds, in their order."""
    several = tuple(parts)
    return SweptOrphans(
        tuple(orphan for part in several for orphan in part.orphans),
        tuple(sentence for part in several for sentence in part.not_checked),
        next((part.error for part in several if part.error is not None), None),
    )


def check_named(
    name: str, age_s: float | None, holders: Mapping[str, int | None], request: SweepRequest
) -> None:
    """Raises OrphanKeptError for a schema or database that is leased, young, or not named as an orphan is."""
    check_not_leased(name, holders)
    if age_s is None or not is_orphan_name(name):
        raise OrphanKeptError("unleased_name", NOT_LEASED)
    kept = kept_for_age(age_s, request.min_age_of(name))
    if kept is not None:
        raise OrphanKeptError(*kept)


def check_not_leased(name: str, holders: Mapping[str, int | None]) -> None:
    """Raises OrphanKeptError for a schema or database whose owner lives."""
    if name in holders:
        raise OrphanKeptError("run_alive", f"pid {holders[name]} holds its lease")


def check_confirmed(identity: str, confirmed: str) -> None:
    """Raises OrphanKeptError if another one of that name was confirmed, or it was altered since."""
    if confirmed != identity:
        raise OrphanKeptError("changed", "it has changed since the question")


def check_kept(kept_until: str) -> None:
    """Raises OrphanKeptError for what a failed test has had kept (`testing.isolation.kept_places`)."""
    if kept_until:
        raise OrphanKeptError("kept_for_test", f"kept until {kept_until}")


def check_owner(owner: str, asking: str, *, is_ours: bool) -> None:
    """Raises OrphanKeptError for a schema or database that our role doesn't own."""
    if not is_ours:
        raise OrphanKeptError(
            "refused", f"needs its owner {owner} (GRANT {owner} TO {asking}) or a superuser"
        )


@contextmanager
def leased(session: DatabaseSession, name: str) -> Iterator[None]:
    """Holds the lease of a schema or database. Raises OrphanKeptError if somebody else has taken it."""
    with leases.hold_lease(session, name) as is_ours:
        if not is_ours:
            raise OrphanKeptError("run_alive", "another session has just taken its lease")
        yield


def and_others(first: str, others: int) -> str:
    """`view public.v and 2 others`."""
    if others == 0:
        return first
    return f"{first} and {others:,} {'other' if others == 1 else 'others'}"


def _swept(one: Candidate, request: SweepRequest, stopped: Stopped) -> Orphan:
    try:
        if stopped():
            raise OrphanKeptError("interrupted", "the sweep was stopped")
        one.check()
        if not request.dry_run:
            one.remove()
    except OrphanKeptError as kept:
        return _kept(one.orphan, kept.reason, str(kept))
    except psycopg.Error as error:
        return _kept(one.orphan, "refused", full_server_message(error))
    return one.orphan


def _kept(orphan: Orphan, reason: KeptReason, why: str) -> Orphan:
    detail = f"{why}; {orphan.detail}" if orphan.detail else why
    return replace(orphan, removed=False, reason=reason, detail=detail)
