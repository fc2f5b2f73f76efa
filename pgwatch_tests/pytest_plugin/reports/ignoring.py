"""The marker `pgwatch_ignore(reason, *tables)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from pgwatch_tests.pytest_plugin.reports.finding_journal import Noted
from pgwatch_tests.testing.findings import Finding

if TYPE_CHECKING:
    from _pytest.nodes import Node


@dataclass(frozen=True, slots=True)
class Ignore:
    """A marker `pgwatch_ignore(reason, *tables)`: of all findings on rows, or of those on these tables."""

    reason: str
    tables: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is about tables of the marker only. `users` is that table in any schema."""
        if not self.tables:
            return True
        return bool(finding.tables) and all(
            table in self.tables or table.rpartition(".")[2] in self.tables for table in finding.tables
        )


def ignores_of(item: pytest.Item) -> tuple[Ignore, ...]:
    """Returns the test's markers `pgwatch_ignore`; one that gives no reason ignores nothing."""
    found = []
    node: Node | None = item
    # By hand: `iter_markers` takes ten calls for each test, which has none as a rule.
    while node is not None:
        for marker in node.own_markers:
            if marker.name == "pgwatch_ignore":
                reason, *tables = marker.args or (marker.kwargs.get("reason"),)
                if isinstance(reason, str) and reason.strip():
                    found.append(Ignore(reason, tuple(map(str, tables))))
        node = node.parent
    return tuple(found)


def with_ignores(found: Iterable[Noted], records: Iterable[tuple[str, Mapping[str, object]]]) -> list[Noted]:
    """Returns findings with those of marked tests as ignored that came when the marker wasn't at hand."""
    ignores: dict[str, list[Ignore]] = {}
    for _, record in records:
        if record.get("is") == "ignore":
            tables = record.get("tables")
            names = tuple(map(str, tables)) if isinstance(tables, list) else ()
            ignores.setdefault(str(record.get("test")), []).append(Ignore(str(record.get("reason")), names))
    return [_with_ignore(noted, ignores) for noted in found]


def _with_ignore(noted: Noted, ignores: Mapping[str, list[Ignore]]) -> Noted:
    finding = noted.finding
    if noted.ignored is not None or finding.owner is None or finding.kind == "not_checked":
        return noted
    of_test = ignores.get(finding.owner.name, ())
    return replace(noted, ignored=next((one.reason for one in of_test if one.covers(finding)), None))
