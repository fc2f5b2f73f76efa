"""Effects of a run, results and written rows, in a form that can be compared with those of another run."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgwatch_tests.testing.interleaving.schedules.step import without_made_names
from pgwatch_tests.testing.interleaving.schedules.touch import LOCK_MODES
from pgwatch_tests.text.numbers import plural

if TYPE_CHECKING:
    from pgwatch_tests.testing.interleaving.actor import Actor
    from pgwatch_tests.testing.interleaving.controller import Run
    from pgwatch_tests.testing.interleaving.monitor import Monitor

_WORD = re.compile(r"[\w-]+")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_WRITES = 1 << LOCK_MODES.index("RowExclusiveLock")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a run came to: results and written rows, as they are and without what differs from run to run."""

    results: tuple[str, ...]
    masked_results: tuple[str, ...]
    rows: tuple[str, ...]
    deleted: tuple[str, ...] | None = None
    """How many rows committed DELETEs took, by table; None if that isn't known."""

    def is_known(self, others: Collection[Effect]) -> bool:
        """Whether one of these came to the same."""
        return any(self.has_results_of(one) and self.has_rows_of(one) for one in others)

    def has_rows_of(self, other: Effect) -> bool:
        """Whether the same rows were written, and as many deleted."""
        return self.rows == other.rows and (
            self.deleted == other.deleted or None in (self.deleted, other.deleted)
        )

    def has_results_of(self, other: Effect) -> bool:
        """Whether the results are the same, leaving out what differs from run to run."""
        return self.results == other.results or self.masked_results == other.masked_results


def effect(monitors: Iterable[Monitor], run: Run, actors: Iterable[Actor], world: object) -> Effect:
    """Returns what a run of these actors came to.

    Left out are what `setup` returned, wherever it is, values of columns that the database fills from a
    sequence, a clock or chance, and addresses of objects. Rows of autocommitted statements aren't found, and
    with them any number may be such a value.
    """
    hidden = {str(value): f"<{place}>" for place, value in enumerate(scalars(world))}
    rows, generated = _rows(monitors, run, hidden)
    results = tuple(_ADDRESS.sub("", one.signature) for one in run.outcomes)

    def masked(match: re.Match[str]) -> str:
        word = match[0]
        if word in hidden:
            return hidden[word]
        is_any = run.has_autocommitted and word.isdigit()
        return "<generated>" if is_any or word in generated else word

    masked_results = tuple(_WORD.sub(masked, result) for result in results)
    return Effect(results, masked_results, rows, _deleted(actors, hidden))


def _table(name: str, hidden: Mapping[str, str]) -> str:
    """Returns a table's name; one that was made for the run is told by its place in what `setup` returned."""
    return without_made_names(_WORD.sub(lambda match: hidden.get(match[0], match[0]), name))


def _deleted(actors: Iterable[Actor], hidden: Mapping[str, str]) -> tuple[str, ...] | None:
    counts: Counter[str] = Counter()
    for actor in actors:
        if actor.has_undone_savepoint:
            return None
        for table, count in actor.deleted.items():
            counts[_table(table, hidden)] += count
    return tuple(f"{plural(count, 'row')} of {table}" for table, count in sorted(counts.items()) if count)


def _rows(
    monitors: Iterable[Monitor], run: Run, hidden: Mapping[str, str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Returns the rows that a run has inserted or updated, and the values that it got for them."""
    tables = {
        int(resource[2])
        for event in run.events
        for resource, taken in event.touch.takes.items()
        if resource[0] == "relation" and taken & _WRITES
    }
    if not tables or not run.transactions:
        return (), frozenset()
    rows: list[str] = []
    generated: set[str] = set()
    for monitor in monitors:
        found = monitor.written(sorted(tables), sorted(run.transactions))
        generated |= {str(value) for _, _, made in found for value in made.values() if value is not None}
        for name, row, _ in found:
            told = {
                column: "<generated>"
                if column.endswith("id") and value in generated
                else hidden.get(str(value), value)
                for column, value in row.items()
            }
            rows.append(f"{_table(name, hidden)} {json.dumps(told, sort_keys=True, default=str)}")
    return tuple(sorted(rows)), frozenset(generated)


def scalars(world: object, depth: int = 3) -> Iterator[object]:
    """Returns the numbers and texts that are somewhere in an object."""
    if isinstance(world, bool) or world is None or depth < 0:
        return
    if isinstance(world, (int, str, float)):
        yield world
    elif isinstance(world, Mapping):
        for value in world.values():
            yield from scalars(value, depth - 1)
    elif isinstance(world, (list, tuple, set, frozenset)):
        for value in world:
            yield from scalars(value, depth - 1)
    elif dataclasses.is_dataclass(world) and not isinstance(world, type):
        for field in dataclasses.fields(world):
            yield from scalars(getattr(world, field.name), depth - 1)
    elif hasattr(world, "hex") and hasattr(world, "urn"):
        yield str(world)
