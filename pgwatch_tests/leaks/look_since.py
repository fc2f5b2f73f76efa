"""Finds what a schema left behind since its baseline: new objects and sequences that stand elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psycopg

from pgwatch_tests.config import Settings
from pgwatch_tests.leaks import objects
from pgwatch_tests.leaks.baseline import Baseline
from pgwatch_tests.leaks.gate import SINCE_KINDS
from pgwatch_tests.leaks.leftovers import Leftovers, matches, unreadable
from pgwatch_tests.leaks.model import Leftover, LeftoverKind, Unchecked
from pgwatch_tests.leaks.read_objects import FoundObject, read_objects, read_positions
from pgwatch_tests.leaks.session import ScanSession

_OLDER = "the baseline doesn't have them"
_ANEW = "`pgwatch-tests baseline` takes a new one"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class LeftSince:
    """The leftovers, and which objects are there no more."""

    leftovers: Leftovers
    gone: tuple[str, ...] = ()


def look_since(
    session: ScanSession, settings: Settings, baseline: Baseline, kinds: Collection[LeftoverKind]
) -> LeftSince:
    """What of `kinds` can only be told beside a baseline.

    Raises ConnectionLostError and ScanCancelledError.
    """
    wanted = tuple(kind for kind in SINCE_KINDS if kind in kinds)
    if not wanted:
        return LeftSince(Leftovers((), (), ()))
    try:
        now = read_objects(session)
    except psycopg.Error as error:
        return LeftSince(Leftovers(wanted, (), tuple(unreadable(kind, error) for kind in wanted)))
    found: list[Leftover] = []
    unchecked: list[Unchecked] = []
    gone: list[str] = []
    if "object" in wanted:
        if baseline.objects is None:
            unchecked.append(Unchecked("object", _OLDER, _ANEW))
        else:
            found += objects.new_objects(
                baseline.objects, {one.object: one.owner for one in now}, _tests_schemas(settings, now)
            )
            gone = objects.gone_objects(baseline.objects, [one.object for one in now])
    if "sequence" in wanted:
        if baseline.sequences is None:
            unchecked.append(Unchecked("sequence", _OLDER, _ANEW))
        else:
            positions = read_positions(session, now)
            found += objects.moved_sequences(baseline.sequences, positions.read)
            unchecked += _unread(positions.unread)
    return LeftSince(Leftovers(wanted, tuple(found), tuple(unchecked)), tuple(gone))


def _tests_schemas(settings: Settings, now: Sequence[FoundObject]) -> frozenset[str]:
    """Those that are a kind of leftover by themselves, and may be a living test's."""
    return frozenset(
        one.name for one in now if one.kind == "schema" and matches(one.name, settings.test_schemas)
    )


def _unread(names: Sequence[str]) -> list[Unchecked]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return [
        Unchecked(
            "sequence",
            f"can't be read: {', '.join(names[:_MOST_NAMED])}{more}",
            "GRANT SELECT ON these sequences, and USAGE ON their schemas",
        )
    ]
