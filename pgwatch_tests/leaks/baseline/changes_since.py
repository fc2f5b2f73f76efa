"""Changes since a baseline other than new rows: new objects, moved sequences, lost rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import psycopg

from pgwatch_tests.leaks.baseline import objects
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.comparison import Comparison
from pgwatch_tests.leaks.baseline.lost_rows import LostRows
from pgwatch_tests.leaks.baseline.object_reader import UnreadSequence, read_objects, read_positions
from pgwatch_tests.leaks.baseline.objects import DatabaseObject
from pgwatch_tests.leaks.leftovers import Leftovers, matches, unreadable
from pgwatch_tests.leaks.model import Leftover, LeftoverKind, Unchecked
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.sql_names import identifier, identifiers, qualified

_OLDER = "this baseline doesn't hold them"
_ANEW = "`pgwatch-tests baseline` takes a new one"
_NO_CONTENT = "this baseline doesn't hold the content of tables"
_OBJECTS: tuple[LeftoverKind, ...] = ("object", "sequence")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class ChangesSince:
    """The leftovers, and the objects that are gone."""

    leftovers: Leftovers
    gone: tuple[str, ...] = ()


def find_changes_since(
    session: DatabaseSession,
    settings: Settings,
    role: str,
    kinds: Collection[LeftoverKind],
    baseline: Baseline,
    comparison: Comparison,
) -> ChangesSince:
    """Returns the leftovers of `kinds` that need a baseline; `role` is the connected one.

    Raises ConnectionLostError and WorkCancelledError.
    """
    left = _objects(session, settings, role, baseline, kinds)
    if "lost_rows" not in kinds:
        return left
    if baseline.content is None:
        unchecked = Unchecked("lost_rows", _NO_CONTENT, "`pgwatch-tests baseline --content` keeps it")
        rows = Leftovers(("lost_rows",), (), (unchecked,))
    else:
        rows = LostRows(session, settings, comparison, role).find(baseline.content)
    return replace(left, leftovers=left.leftovers.beside(rows))


def _objects(
    session: DatabaseSession,
    settings: Settings,
    role: str,
    baseline: Baseline,
    kinds: Collection[LeftoverKind],
) -> ChangesSince:
    wanted = tuple(kind for kind in _OBJECTS if kind in kinds)
    if not wanted:
        return ChangesSince(Leftovers((), (), ()))
    try:
        now = read_objects(session)
    except psycopg.Error as error:
        return ChangesSince(Leftovers(wanted, (), tuple(unreadable(kind, error) for kind in wanted)))
    leftovers: list[Leftover] = []
    unchecked: list[Unchecked] = []
    gone: list[str] = []
    if "object" in wanted:
        if baseline.objects is None:
            unchecked.append(Unchecked("object", _OLDER, _ANEW))
        else:
            before = [one for one in baseline.objects if not _is_a_tests(settings, one)]
            owners = {one.object: one.owner for one in now if not _is_a_tests(settings, one.object)}
            leftovers += objects.new_objects(before, owners)
            gone = objects.gone_objects(before, owners)
    if "sequence" in wanted:
        if baseline.sequences is None:
            unchecked.append(Unchecked("sequence", _OLDER, _ANEW))
        else:
            positions = read_positions(session, now)
            leftovers += objects.moved_sequences(
                baseline.sequences,
                [one for one in positions.read if not matches(one.schema, settings.test_schemas)],
            )
            unchecked += _unread(positions.unread, role)
    return ChangesSince(Leftovers(wanted, tuple(leftovers), tuple(unchecked)), tuple(gone))


def _is_a_tests(settings: Settings, one: DatabaseObject) -> bool:
    """Whether an object is a test schema, or in one: such a schema is reported as a whole, or its test
    lives."""
    return matches(one.name if one.kind == "schema" else one.schema, settings.test_schemas)


def _unread(sequences: Sequence[UnreadSequence], role: str) -> Iterator[Unchecked]:
    """One for each obstacle that was met."""
    for obstacle in dict.fromkeys(one.obstacle for one in sequences):
        those = [one for one in sequences if one.obstacle == obstacle]
        names = _cut([one.shown for one in those])
        if obstacle is None:
            yield Unchecked("sequence", f"can't be read: {names}", _grants(those, role))
        elif obstacle == "locked":
            yield Unchecked("sequence", f"locked: {names}", "`pgwatch-tests locks` shows by whom")
        else:
            yield Unchecked("sequence", f"can't be read: {names}: {obstacle}", "run it again")


def _grants(sequences: Sequence[UnreadSequence], role: str) -> str:
    """The statements that let `role` read these; where they are many, all of their schemas."""
    schemas = list(dict.fromkeys(one.schema for one in sequences))
    named = identifiers(schemas[:_MOST_NAMED])
    which = f"ALL SEQUENCES IN SCHEMA {named}"
    if len(sequences) <= _MOST_NAMED:
        which = f"SEQUENCE {', '.join(qualified(one.schema, one.name) for one in sequences)}"
    more = len(schemas) - _MOST_NAMED
    likewise = f"; likewise for {plural(more, 'more schema')}" if more > 0 else ""
    to = identifier(role)
    return f"GRANT USAGE ON SCHEMA {named} TO {to}; GRANT SELECT ON {which} TO {to}{likewise}"


def _cut(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
