"""The outcome of a removal of a test's own rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.current_test import current
from pgwatch_tests.testing.findings import Finding

_log = logging.getLogger("pgwatch_tests")


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
    """Raises RowsStayError where rows stay; adds it to an error that is on its way.

    What couldn't be searched fails nothing, since there may be no row: the log and the plugin tell it.
    """
    for sentence in outcome.not_checked:
        owner = current()
        reason = f"rows {f'of {owner.name} ' if owner else ''}may stay that weren't found: {sentence}"
        _log.warning("%s", reason)
        findings.tell(Finding("not_checked", None, reason, fails=False))
    if not outcome.staying:
        return
    staying = RowsStayError(outcome.staying)
    if error is None:
        raise staying
    error.add_note(str(staying))
