"""Whose rows are they that are left in the end: by the claims of all workers. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.value_tokens import RUN_TOKEN, parse
from pgwatch_tests.leaks.attribution.test_runs import how_to_know, why_unknown
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.model import Leftover
from pgwatch_tests.pytest_plugin.verdicts.claims import Claim, Claims
from pgwatch_tests.pytest_plugin.verdicts.judge import as_stated, is_between, names_table
from pgwatch_tests.pytest_plugin.verdicts.look import FoundRow, FoundRows
from pgwatch_tests.pytest_plugin.verdicts.words import BY_HASH, such_as
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.numbers import plural

MOST_NAMED = 5
_CIRCLE = 1 << 32
_MOST_EXAMPLES = 3
# Up to where ids of subtransactions are looked for behind their transaction's.
_SUBTRANSACTIONS = 1_000
_TOKEN = re.compile(RUN_TOKEN, re.IGNORECASE)
_ONE_CHANGED = re.compile(
    r"(?:\b1 changed|\b1 of [0-9,]+ rows is changed|only row is changed) \(such as (.*)\)"
)
_ADVICE = "delete them in the tear-down of whoever writes them"
_LOSS_ADVICE = (
    "a test may delete or change only what it has made itself: let it work in `rollback_session` or "
    "`isolated_schema`, or restore the rows"
)


@dataclass(slots=True)
class _Group:
    """Rows of a table that are put down to the same."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, row: FoundRow) -> None:
        """Adds a row."""
        self.rows += 1
        if row.key and len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(row.key)

    def in_words(self, table: str) -> str:
        """`2 rows in public.users (id=4, id=5)`."""
        return f"{plural(self.rows, 'row')} in {table}{such_as(self.examples, self.rows)}"


_OwnerKey = tuple[str, str, str, int]


class _Way(NamedTuple):
    """How a row is known to be whose."""

    way: str
    owners: tuple[Owner, ...]
    unknown: frozenset[str] = frozenset()
    """How those may have committed who are only suspected."""


class Whose:
    """Attributes what is left by the claims of a session."""

    def __init__(self, claims: Claims, tests: Collection[str], run: str) -> None:
        """`tests` are those that have run, `run` is the id of the run."""
        self._claims = claims.claims
        self._judged = claims.judged
        self._run = run
        owners = {one.owner.name: one.owner for one in claims.claims if one.owner is not None}
        self._tests = {digest(test): owners.get(test) or Owner("test", test) for test in tests}

    def findings_of_rows(
        self, database: ServedDatabase, found: Sequence[FoundRows], baseline: Baseline
    ) -> Iterator[Finding]:
        """Yields findings on rows that are newer than the baseline and that no verdict was about."""
        claims = [one for one in self._claims if one.database == database]
        by_xid = {one.xid % _CIRCLE: one for one in claims if one.xid is not None}
        for table in found:
            name = table.shape.name
            told: set[int] = set()
            for judged in self._judged:
                if judged.database == database and judged.table == name:
                    told |= judged.told
            groups: defaultdict[_Way, _Group] = defaultdict(_Group)
            for row in table.told:
                if row.xmin in told or not _is_newer(row.xmin, baseline):
                    continue
                way = self._way(row, table, database, claims, by_xid)
                if way is not None:
                    groups[way].add(row)
            for known, group in groups.items():
                yield replace(_finding(known, group.in_words(name), name), rows=group.rows)

    def finding_of_loss(
        self, database: ServedDatabase, loss: Leftover, found: Sequence[FoundRows]
    ) -> Finding:
        """Returns the finding on a table whose rows of the baseline are gone or changed."""
        claims = [one for one in self._claims if one.database == database and one.owner is not None]
        table = loss.name
        shape = next((one.shape for one in found if one.shape.name == table), None)
        names = (table.rpartition(".")[2],) if shape is None else (shape.table, shape.root_table)
        suspects: dict[_OwnerKey, Owner] = {}
        if "changed" in loss.detail:
            rows = [row for one in found if one.shape.name == table for row in one.told]
            changed = _ONE_CHANGED.search(loss.detail)
            xmins = {row.xmin for row in rows if changed is not None and row.key == changed[1]}
            xmins = xmins or {row.xmin for row in rows}
            for one in claims:
                if (
                    one.xid is not None
                    and one.xid % _CIRCLE in xmins
                    and _says(one, names, "update", "upsert")
                ):
                    _add(suspects, one)
        if "gone" in loss.detail:
            for one in claims:
                if _says(one, names, "delete", "truncate"):
                    _add(suspects, one)
        if not suspects:
            for one in claims:
                if names_table(one.written, *names) and not _only_inserts(one, names):
                    _add(suspects, one)
        owners = tuple(suspects.values())
        what = f"{table}: {loss.detail}, of those that were there before the first test"
        if len(owners) == 1:
            reason = f"{what}; no other test deletes or changes any, as far as statements say"
            return Finding("lost_rows", owners[0], reason, _LOSS_ADVICE, (table,))
        return Finding("lost_rows", None, f"{what}, {_one_of(owners)}", _LOSS_ADVICE, (table,))

    def _way(
        self,
        row: FoundRow,
        table: FoundRows,
        database: ServedDatabase,
        claims: Sequence[Claim],
        by_xid: dict[int, Claim],
    ) -> _Way | None:
        """Returns how a row is known to be whose; None if there's nothing to tell."""
        digests, runs = _tokens(row.strings)
        if runs and self._run not in runs:
            return None  # of another run that uses the same database
        known = [self._tests[one] for one in sorted(digests) if one in self._tests]
        if len(known) == 1:
            return _Way("marker", (known[0],))
        claim = by_xid.get(row.xmin)
        if claim is not None:
            if claim.owner is None:
                return None  # written outside of tests, as seeds are
            stated = as_stated(claim.written, table.shape.table, table.shape.root_table)
            by = "server's " if claim.is_of_server else ""
            return None if stated == "changed" else _Way(f"{by}transaction {stated}", (claim.owner,))
        suspects: dict[_OwnerKey, Owner] = {}
        names = table.shape.table, table.shape.root_table
        may_write = [one for one in claims if names_table(one.written, *names)]
        for one in may_write:
            xid = one.xid if one.has_savepoints else None
            if xid is not None and is_between(row.xmin, xid, xid + _SUBTRANSACTIONS):
                _add(suspects, one)
        for judged in self._judged:
            is_here = judged.database == database and judged.table == table.shape.name
            if is_here and row.xmin in judged.of_others and judged.owner is not None:
                suspects[_key(judged.owner)] = judged.owner
        if not suspects:
            for one in may_write:
                if one.xid is None:
                    _add(suspects, one)
        ways = {
            way
            for one in may_write
            if one.owner is not None and _key(one.owner) in suspects and (way := _unknown_way(one))
        }
        return _Way("one of", tuple(suspects.values()), frozenset(ways))


def _finding(known: _Way, rows: str, table: str) -> Finding:
    way, owners, unknown = known
    if way == "marker":
        return Finding("rows", owners[0], f"left {rows}, {BY_HASH}", _ADVICE, (table,))
    if way.endswith("transaction new"):
        reason = f"left {rows}{_by_server(way)}"
        return Finding("rows", owners[0], reason, _ADVICE, (table,))
    if "transaction" in way:
        reason = f"left or changed {rows}{_by_server(way)}"
        return Finding("rows", owners[0], reason, _ADVICE, (table,), fails=False)
    if owners:
        why = why_unknown(unknown)
        reason = f"left over: {rows}, {_one_of(owners)}{f' ({why})' if why else ''}"
        is_parallel = any(one.worker for one in owners)
        advice = f"to know whose they are, {how_to_know(unknown)}" if why and is_parallel else _ADVICE
        return Finding("rows", None, reason, advice, (table,))
    reason = f"{rows} came to be meanwhile, by nobody whose transactions are known"
    return Finding("rows", None, reason, "", (table,), fails=False)


def _by_server(way: str) -> str:
    return ": a server under test wrote them, for its request" if way.startswith("server") else ""


def _one_of(owners: Sequence[Owner]) -> str:
    """`by one of 2: a, b`; where only one is known, it isn't a fact either."""
    if not owners:
        return "by nobody whose statements are known"
    if len(owners) > MOST_NAMED:
        return f"by one of {len(owners)} tests and fixtures"
    names = ", ".join(one.name for one in owners)
    return f"by one of {len(owners)}: {names}" if len(owners) > 1 else f"by {names}, or by nobody of this run"


def _unknown_way(claim: Claim) -> str:
    """How a commit was made whose rows may have ids that aren't known; empty if all are."""
    if claim.xid is None:
        return claim.unknown or "driver"
    return "savepoint" if claim.has_savepoints else ""


def _says(claim: Claim, names: Iterable[str], *verbs: str) -> bool:
    return claim.written is not None and any(
        one.verb in verbs and one.table in names for one in claim.written
    )


def _only_inserts(claim: Claim, names: tuple[str, ...]) -> bool:
    return as_stated(claim.written, *names) == "new"


def _add(suspects: dict[_OwnerKey, Owner], claim: Claim) -> None:
    if claim.owner is not None:
        suspects[_key(claim.owner)] = claim.owner


def _key(owner: Owner) -> _OwnerKey:
    return owner.kind, owner.name, owner.worker, owner.attempt


def _is_newer(xmin: int, baseline: Baseline) -> bool:
    """Whether a transaction wasn't over at the baseline."""
    if (xmin - baseline.xmax) % _CIRCLE < _CIRCLE // 2:
        return True
    return any((xmin - first) % _CIRCLE <= last - first for first, last in baseline.running)


def _tokens(strings: str) -> tuple[set[str], set[str]]:
    """Hashes of tests, and ids of runs."""
    tokens = [token for match in _TOKEN.finditer(strings) if (token := parse(match[1])) is not None]
    return {token.test for token in tokens if token.test}, {token.run for token in tokens if token.run}
