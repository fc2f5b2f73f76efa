"""The outcome of a removal of a test's own rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.errors import PgwatchError


@dataclass(frozen=True, slots=True)
class StayingRows:
    """Rows that weren't removed, and why, in a clause."""

    table: str
    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class RemovedRows:
    """The outcome of a removal."""

    removed: Mapping[str, int]
    """The number of rows by table, `public.users`; also of those that referred to the rows in question."""
    staying: tuple[StayingRows, ...] = ()
    not_checked: tuple[str, ...] = ()
    """A sentence for each table that couldn't be searched for rows."""

    def __add__(self, other: RemovedRows) -> RemovedRows:
        total = Counter(self.removed) + Counter(other.removed)
        return RemovedRows(
            dict(total), (*self.staying, *other.staying), (*self.not_checked, *other.not_checked)
        )


class RowsStayError(PgwatchError):
    """A test's own rows can't be removed; `staying` tells which, and why: exit 2."""

    def __init__(self, staying: Sequence[StayingRows]) -> None:
        self.staying = tuple(staying)
        parts = (f"{one.rows} of {one.table} ({one.reason})" for one in staying)
        super().__init__(f"rows stay: {', '.join(parts)}")


def tell(outcome: RemovedRows, error: BaseException | None = None) -> None:
    """Raises RowsStayError where rows stay; adds it to an error that is on its way."""
    if not outcome.staying:
        return
    staying = RowsStayError(outcome.staying)
    if error is None:
        raise staying
    error.add_note(str(staying))
