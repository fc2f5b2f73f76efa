"""The gate on leaks: which findings fail it (rows, kinds of leftovers), and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks.model import LeakReport, LeftoverKind

FindingKind = Literal["rows", "unread"] | LeftoverKind
"""`unread`: columns that markers aren't looked for in. They don't fail a gate, but leave it incomplete."""

ALL_KINDS: tuple[LeftoverKind, ...] = get_args(LeftoverKind)
DEFAULT_KINDS: tuple[LeftoverKind, ...] = (
    "schema",
    "idle_in_transaction",
    "prepared_transaction",
    "advisory_lock",
    "replication_slot",
    "temporary_schema",
    "invalid_index",
    "disabled_trigger",
)
"""The default kinds; the other ones may well be there on purpose."""
SINCE_KINDS: tuple[LeftoverKind, ...] = ("object", "sequence", "lost_rows")
"""The kinds that need a baseline."""
OTHER_KINDS = tuple(kind for kind in ALL_KINDS if kind not in DEFAULT_KINDS and kind not in SINCE_KINDS)
"""The kinds that may well be there on purpose: only looked for on demand."""
BESIDE_A_BASELINE: tuple[LeftoverKind, ...] = (*DEFAULT_KINDS, *SINCE_KINDS, "large_object")
"""The default kinds with a baseline, which makes more kinds tell something."""
FAIL_ON_WORDS = ("all", "default", "rows", "unread", *ALL_KINDS)
"""The words of `leaks --fail-on`."""
DEFAULT_FAIL_ON: tuple[FindingKind, ...] = ("rows", "schema", "idle_in_transaction", "prepared_transaction")

# Other spellings of the kinds.
_NAMES: dict[str, FindingKind] = {
    **{spelling: kind for kind in ALL_KINDS for spelling in (kind, f"{kind}s")},
    **dict.fromkeys(("row", "rows"), "rows"),
    "unread": "unread",
    "lost_row": "lost_rows",
    **dict.fromkeys(("invalid_indexes", "invalid_indices"), "invalid_index"),
}
_SEVERAL: dict[str, tuple[FindingKind, ...]] = {
    "all": ("rows", "unread", *ALL_KINDS),
    "default": DEFAULT_FAIL_ON,
}


@dataclass(frozen=True, slots=True)
class Gate:
    """Fails on more than `max_rows` leaked rows if "rows" is in `fail_on`, and on any leftover in there."""

    fail_on: frozenset[FindingKind] = frozenset(DEFAULT_FAIL_ON)
    max_rows: int = 0

    @property
    def kinds(self) -> frozenset[LeftoverKind]:
        """The leftovers that must be looked for."""
        return frozenset(kind for kind in self.fail_on if kind != "rows" and kind != "unread")

    def fails_on_rows(self, total: int) -> bool:
        """Whether so many leaked rows are a finding."""
        return "rows" in self.fail_on and total > self.max_rows


def verdict(gate: Gate, reports: Iterable[LeakReport], all_reached: bool = True) -> Verdict:
    """The verdict on one database, or on several together; findings win over what couldn't be checked.

    `all_reached` is false if there are databases that couldn't even be connected to.
    """
    reports = tuple(reports)
    kinds = gate.kinds
    if gate.fails_on_rows(sum(report.total for report in reports)) or any(
        one.kind in kinds for report in reports for one in report.leftovers
    ):
        return "findings"
    if not all_reached or any(_is_incomplete(gate, report) for report in reports):
        return "incomplete"
    return "clean"


def _is_incomplete(gate: Gate, report: LeakReport) -> bool:
    missing = gate.kinds - set(report.kinds_checked) | {one.kind for one in report.unchecked}
    return (
        bool(gate.kinds & missing)
        or ("rows" in gate.fail_on and bool(report.skipped))
        or ("unread" in gate.fail_on and bool(report.unread))
    )


def findings_named(text: str) -> tuple[FindingKind, ...]:
    """The kinds in `rows,schemas,idle_in_transaction`; plurals and hyphens will do. Raises ValueError.

    `all` is every kind, `default` what the gate fails on anyway.
    """
    kinds: list[FindingKind] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name = word.lower().replace("-", "_")
        if name in _SEVERAL:
            kinds += _SEVERAL[name]
        elif name in _NAMES:
            kinds.append(_NAMES[name])
        else:
            raise ValueError(f"unknown kind {word!r}; known are {', '.join(FAIL_ON_WORDS)}")
    if not kinds:
        raise ValueError("names no kind")
    return tuple(dict.fromkeys(kinds))


def tellable(
    kinds: tuple[LeftoverKind, ...], *, has_baseline: bool, has_content: bool
) -> tuple[LeftoverKind, ...]:
    """Returns the kinds of leftovers that can be told with a baseline, with one that has content, or without.

    Where only some are named, none is left out. Raises ValueError if one of these needs a baseline.
    """
    if set(kinds) in (set(ALL_KINDS), set(BESIDE_A_BASELINE)):
        untold = SINCE_KINDS if not has_baseline else () if has_content else ("lost_rows",)
        return tuple(kind for kind in kinds if kind not in untold)
    for kind in () if has_baseline else kinds:
        if kind in SINCE_KINDS:
            raise ValueError(f"{kind} needs a baseline: add --since FILE")
    return kinds


def kinds_named(text: str) -> tuple[LeftoverKind, ...]:
    """The leftovers in `all`, `none`, `default` or a list of kinds. Raises ValueError."""
    known: dict[str, tuple[LeftoverKind, ...]] = {"all": ALL_KINDS, "none": (), "default": DEFAULT_KINDS}
    whole = known.get(text.strip().lower())
    if whole is not None:
        return whole
    found = findings_named(text)
    return tuple(kind for kind in found if kind != "rows" and kind != "unread")
