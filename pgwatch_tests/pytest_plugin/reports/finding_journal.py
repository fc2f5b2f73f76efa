"""Findings in the journals of processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast, get_args

from pgwatch_tests.testing.current_test import Owner, OwnerKind
from pgwatch_tests.testing.findings import Finding, FindingKind


@dataclass(frozen=True, slots=True)
class Noted:
    """A finding as it was noted."""

    finding: Finding
    ignored: str | None = None
    """The reason of the marker `pgwatch_ignore`, or of the entry, that covers it; None: not covered."""


def record_of(noted: Noted) -> dict[str, object]:
    """Returns a finding's record."""
    finding, owner = noted.finding, noted.finding.owner
    return {
        "kind": finding.kind,
        "owner": owner and owner_record(owner),
        "reason": finding.reason,
        "advice": finding.advice,
        "tables": finding.tables,
        "fails": finding.fails,
        "rows": finding.rows,
        "ignored": noted.ignored,
    }


def findings_in(records: Iterable[tuple[str, Mapping[str, object]]]) -> list[Noted]:
    """Returns the findings among journals' records, in their order."""
    found = []
    for _, record in records:
        if record.get("is") == "finding":
            try:
                found.append(_noted(record))
            except (ValueError, KeyError, TypeError):
                continue
    return found


def owner_record(owner: Owner) -> list[object]:
    """Returns an owner's record."""
    return [owner.kind, owner.name, owner.worker, owner.attempt, owner.number]


def owner_of(record: object) -> Owner | None:
    """Returns the owner of a record; None where there is none. Raises ValueError."""
    if not isinstance(record, list):
        return None
    kind, name, worker, attempt, number = record
    if kind not in get_args(OwnerKind):
        raise ValueError("unknown kind of owner")
    return Owner(cast(OwnerKind, kind), str(name), str(worker), int(attempt), int(number))


def _noted(record: Mapping[str, object]) -> Noted:
    kind = record["kind"]
    if kind not in get_args(FindingKind):
        raise ValueError("unknown kind")
    finding = Finding(
        cast(FindingKind, kind),
        owner_of(record["owner"]),
        str(record["reason"]),
        str(record["advice"]),
        tuple(_texts(record["tables"])),
        bool(record["fails"]),
        _number(record["rows"]),
    )
    ignored = record["ignored"]
    return Noted(finding, None if ignored is None else str(ignored))


def _number(record: object) -> int:
    if not isinstance(record, int):
        raise TypeError("no number")
    return record


def _texts(record: object) -> Iterator[str]:
    if isinstance(record, list):
        yield from map(str, record)
