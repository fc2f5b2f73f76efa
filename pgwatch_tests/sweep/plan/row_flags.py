"""Row flags in SQL: whether a row is marked, whether it is asked for, and how old it is.

How old: by the latest evidence there is: all stamps in its marked values (milliseconds, by the clock of the
machine that the test ran on), `created_at`, and when it was last committed (track_commit_timestamp). A stamp
that is a constant of a fixture says nothing against a row that was written a second ago. By the server's
clock, and its own for now.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from psycopg.pq.abc import Escaping

from pgwatch_tests.identity.value_tokens import RUN_ID, token
from pgwatch_tests.leaks.catalog.tables import Table, full_name
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.leaks.statements.nested_strings import is_of
from pgwatch_tests.sweep.plan import young_rows
from pgwatch_tests.sweep.plan.own_rows import OwnRows
from pgwatch_tests.sweep.plan.rules import (
    AGELESS,
    ALIVE,
    BORN_AT,
    ENDED,
    FUTURE,
    IN_TIME,
    MARKED,
    OTHERS,
    SWEPT,
    WRITTEN_AT,
    YOUNG,
    Flagging,
)
from pgwatch_tests.sweep.plan.since_baseline import SinceBaseline
from pgwatch_tests.sweep.request import SweepRequest

_STAMP = "[_-]1[0-9]{12}(?![0-9A-Za-z])"
_MAY_BE_TWO = f"%_1{'_' * 12}%_1{'_' * 12}%"  # for LIKE, which costs a twentieth
_ANY_TEST = "[_-]1[0-9]{12}[_-]t[0-9a-f]{8}(?![0-9A-Za-z])"
# When it was made, before the flags; 0 where nothing tells.
_BORN = (
    b"greatest(0, least(coalesce(born, 0) OPERATOR(pg_catalog./) 1000, 4294967295))::bigint "
    b"OPERATOR(pg_catalog.*) %d::bigint"
) % BORN_AT
_MS = b"(extract(epoch FROM %b) OPERATOR(pg_catalog.*) 1000)::float"
_NOW_MS = _MS % b"pg_catalog.statement_timestamp()"
# The tolerated difference of two machines' clocks.
_CLOCKS_APART_MS = 60_000
_TIMESTAMPTZ = 1184
# A timestamp without a time zone may be of any: the earliest is 14 hours ahead of UTC, the latest 12 behind.
_AHEAD_MS, _BEHIND_MS = 14 * 3_600_000, 12 * 3_600_000


@dataclass(frozen=True, slots=True)
class RowFlags:
    """Composes the flags of rows, for one database and one request."""

    escaping: Escaping
    statements: MarkedRowStatements
    request: SweepRequest
    has_commit_timestamps: bool
    live_runs: Collection[int]
    """The numbers of the leases that are held (see `leases`)."""
    since: SinceBaseline | OwnRows | None = None
    """The baseline of the sweep, or the transactions whose rows are asked for; None without."""

    def of_marked(self, table: Table, created_at: int) -> Flagging:
        """The flags of a table in which there are marked rows; `created_at` is that column's type, or 0."""
        inside = (
            b"SELECT coalesce(%b) AS marked, v, %b AS created, %b AS committed "
            b"FROM (SELECT %b AS v OFFSET 0) AS value"
        ) % (
            b", ".join([b"v[%d]" % place for place in range(1, len(table.columns) + 1)] + [b"NULL"]),
            _created_ms(created_at),
            self._committed_ms(),
            self.statements.marked_values(table),
        )
        at = (
            b"SELECT (marked IS NOT NULL OR %b) AS marked, %b AS asked, %b AS others, %b AS alive, "
            b"%b AS until, greatest(newest, %b, committed) AS at, created, committed, "
            b"CASE WHEN marked IS NULL THEN least(created, committed) "
            b"ELSE coalesce(oldest, created, committed) END AS born "
            b"FROM (%b OFFSET 0) AS found CROSS JOIN LATERAL (%b) AS stamps"
        ) % (
            *(self._is_new(table), self._is_asked_for(table), self._is_of_others(), self._is_alive()),
            *(self._run_ended(), _bounded(created_at), inside, self._stamps()),
        )
        expression = (
            b"(SELECT %b OPERATOR(pg_catalog.+) CASE WHEN marked THEN %d "
            b"OPERATOR(pg_catalog.+) CASE WHEN asked THEN %d WHEN others THEN %d ELSE 0 END "
            b"OPERATOR(pg_catalog.+) CASE WHEN alive THEN %d ELSE 0 END OPERATOR(pg_catalog.+) %b "
            b"ELSE %b END FROM (%b OFFSET 0) AS judged)"
        ) % (
            *(_BORN, MARKED, SWEPT, OTHERS, ALIVE),
            *(self._age_of_marked(created_at), self._age(created_at), at),
        )
        columns = (*table.columns, *self._times(created_at))
        return self._with_baseline(Flagging(tuple(dict.fromkeys(columns)), _text(expression)), created_at)

    def of_others(self, created_at: int) -> Flagging | None:
        """The flags of a table without marked rows: only how old they are, if that can be told."""
        if not created_at and not self.has_commit_timestamps:
            return None if self.since is None else self._with_baseline(Flagging((), "0"), 0)
        at = b"SELECT %b AS created, %b AS committed" % (_created_ms(created_at), self._committed_ms())
        expression = (
            b"(SELECT %b OPERATOR(pg_catalog.+) %b FROM (SELECT greatest(%b, committed) AS at, created, "
            b"committed, least(created, committed) AS born FROM (%b) AS found) AS judged)"
        ) % (_BORN, self._age(created_at), _bounded(created_at), at)
        return self._with_baseline(Flagging(self._times(created_at), _text(expression)), created_at)

    def _with_baseline(self, flagging: Flagging, created_at: int) -> Flagging:
        return flagging if self.since is None else self.since.flagged(flagging, created_at)

    def _is_new(self, table: Table) -> bytes:
        return b"false" if self.since is None or not self.since.any_rows else self.since.is_new(table)

    def _times(self, created_at: int) -> tuple[str, ...]:
        return (
            *(("created_at",) if created_at else ()),
            *(("xmin",) if self.has_commit_timestamps else ()),
        )

    def _committed_ms(self) -> bytes:
        if not self.has_commit_timestamps:
            return b"NULL::float"
        return _MS % b"pg_catalog.pg_xact_commit_timestamp(xmin)"

    def _age_of_marked(self, created_at: int) -> bytes:
        if not self._ended:
            return self._age(created_at, AGELESS)
        of_ended = b"CASE WHEN at OPERATOR(pg_catalog.<=) until THEN %d ELSE 0 END" % ENDED
        young = b"CASE WHEN at OPERATOR(pg_catalog.<=) until THEN %d ELSE %d END" % (IN_TIME, YOUNG)
        return b"%b OPERATOR(pg_catalog.+) %b" % (of_ended, self._age(created_at, AGELESS, young))

    def _age(self, created_at: int, unknown: int = 0, young: bytes | None = None) -> bytes:
        """Returns SQL for the age of a row; by default of one without a marker."""
        if self.request.is_own:
            # Whose they are is known, and a test may have set the clock, or the column, to any time.
            return b"0"
        min_age_ms = self.request.min_age_s * 1000
        if not min_age_ms:
            return b"CASE WHEN at %b THEN %d ELSE 0 END" % (_beyond_now(_CLOCKS_APART_MS), FUTURE)
        if young is None:
            young = b"%d" % YOUNG
            if self._ended:
                in_time = b"at OPERATOR(pg_catalog.<=) %b::float" % self._number(max(self._ended.values()))
                young = b"CASE WHEN %b THEN %d ELSE %d END" % (in_time, IN_TIME, YOUNG)
        return (
            b"CASE WHEN at IS NULL THEN %d WHEN at %b THEN %d WHEN at %b "
            b"THEN %b OPERATOR(pg_catalog.+) %b ELSE 0 END"
        ) % (
            *(unknown, _beyond_now(_CLOCKS_APART_MS), FUTURE),
            *(_beyond_now(-min_age_ms), young, self._written(created_at)),
        )

    def _written(self, created_at: int) -> bytes:
        """Returns SQL for the bits that tell when a young row was written: see `young_rows`."""
        way = {known_by: b"%d" % place for place, known_by in enumerate(young_rows.WAYS)}
        at = b"at"
        by = (
            b"CASE WHEN at OPERATOR(pg_catalog.=) committed THEN %b "
            b"WHEN at OPERATOR(pg_catalog.=) created THEN %b ELSE %b END"
        ) % (way["commit"], way["created_at"], way["stamp"])
        if _has_no_zone(created_at):
            # Not cut off at now, as `created` is: that moves.
            latest = b"(%b OPERATOR(pg_catalog.+) %d)" % (_MS % b"created_at", _BEHIND_MS)
            is_latest = (
                b"committed IS NULL AND created IS NOT NULL AND %b OPERATOR(pg_catalog.>=) at" % latest
            )
            at = b"CASE WHEN %b THEN %b ELSE at END" % (is_latest, latest)
            by = b"CASE WHEN %b THEN %b WHEN at OPERATOR(pg_catalog.=) committed THEN %b ELSE %b END" % (
                *(is_latest, way["created_at_without_zone"]),
                *(way["commit"], way["stamp"]),
            )
        step_ms = 1000 * young_rows.step_s(self.request.min_age_s)
        return (
            b"(%d::bigint OPERATOR(pg_catalog.*) (%b OPERATOR(pg_catalog.+) (%d OPERATOR(pg_catalog.*) "
            b"pg_catalog.mod(pg_catalog.ceil((%b) OPERATOR(pg_catalog./) %d)::bigint, %d))))"
        ) % (WRITTEN_AT, by, young_rows.SHIFT, at, step_ms, young_rows.STEPS)

    def _stamps(self) -> bytes:
        """The newest and the oldest stamp of the marked values `v`; NULLs without any."""
        every = (
            b"(SELECT pg_catalog.%b(pg_catalog.substr(stamp[1], 2)::float) "
            b"FROM pg_catalog.regexp_matches(text, %b, 'g') AS stamp)"
        )
        stamp = self._literal(_STAMP)
        # A value has one stamp, mostly: a set of matches costs more than all else that is asked of a row.
        return (
            b"SELECT CASE WHEN several THEN %b ELSE first END AS newest, "
            b"CASE WHEN several THEN %b ELSE first END AS oldest "
            b"FROM (SELECT text, text OPERATOR(pg_catalog.~~) %b AS several, "
            b"pg_catalog.substr(pg_catalog.substring(text, %b), 2)::float AS first "
            b"FROM (SELECT pg_catalog.array_to_string(v, ' ') AS text OFFSET 0) AS joined OFFSET 0) AS one"
        ) % (every % (b"max", stamp), every % (b"min", stamp), self._literal(_MAY_BE_TWO), stamp)

    def _is_asked_for(self, table: Table) -> bytes:
        """Whether a marked value has the token of the test, and that of the run, that are asked for.

        Where a transaction is asked for, a row without a marker needn't. Rows of a table outside
        of the part that is asked for aren't asked for.
        """
        if not self.request.asks_for("rows", full_name(table)):
            return b"false"
        wanted = [
            f"[_-]1[0-9]{{12}}[_-]{token(self.request.test)}(?![0-9A-Za-z])" if self.request.test else "",
            RUN_ID.replace("([0-9a-f]{8})", re.escape(self.request.run)) if self.request.run else "",
        ]
        if isinstance(self.since, OwnRows):
            return b"(%b OR (marked IS NULL AND %b))" % (self._bears_all(wanted), self.since.is_new(table))
        return self._bears_all(wanted)

    def _is_of_others(self) -> bytes:
        """Whether a marked value, where not all are asked for, has a token of any test, or of any run."""
        if not self.request.test and not self.request.run:
            return b"false"
        kinds = [_ANY_TEST if self.request.test else "", RUN_ID if self.request.run else ""]
        return b"(%b)" % b" OR ".join(self._bears_all([kind]) for kind in kinds if kind)

    def _bears_all(self, patterns: Iterable[str]) -> bytes:
        """Whether there is a marked value that all of the patterns fit."""
        conditions = [
            b"one OPERATOR(pg_catalog.~*) %b" % self._literal(pattern) for pattern in patterns if pattern
        ]
        if not conditions:
            return b"true"
        return b"EXISTS (SELECT FROM pg_catalog.unnest(v) AS one WHERE %b)" % b" AND ".join(conditions)

    def _is_alive(self) -> bytes:
        if not self.live_runs:
            return b"false"
        others = b"true"
        if self.request.is_own and self.request.run:
            not_own = b"pg_catalog.lower(run[1]) OPERATOR(pg_catalog.<>) %b"
            others = not_own % self._literal(self.request.run.lower())
        return (
            b"EXISTS (SELECT FROM pg_catalog.unnest(v) AS one, "
            b"pg_catalog.regexp_matches(one, %b, 'gi') AS run WHERE %b AND pg_catalog.hashtext("
            b"""pg_catalog.concat('run:', pg_catalog.lower(run[1])) COLLATE pg_catalog."C") """
            b"OPERATOR(pg_catalog.=) ANY ('{%b}'::int[]))"
        ) % (self._literal(RUN_ID), others, ",".join(map(str, sorted(self.live_runs))).encode())

    @property
    def _ended(self) -> dict[str, float]:
        """When the leases of runs ended, in milliseconds since 1970, by the run's id."""
        ended = self.request.ended_leases if self.request.min_age_s else ()
        return {one.run: one.ended_at.timestamp() * 1000 for one in ended if one.run is not None}

    def _run_ended(self) -> bytes:
        """When the first of a row's runs ended; NULL if one of them didn't, or it is of none."""
        if not self._ended:
            return b"NULL::float"
        ended = b", ".join(
            b"(%b::pg_catalog.text, %b::float)" % (self._literal(run), self._number(at))
            for run, at in sorted(self._ended.items())
        )
        return (
            b"(SELECT CASE WHEN pg_catalog.bool_and(ended.run IS NOT NULL) THEN pg_catalog.min(ended.at) END "
            b"FROM pg_catalog.unnest(v) AS one CROSS JOIN LATERAL pg_catalog.regexp_matches(one, %b, 'gi') "
            b"AS found (run) LEFT JOIN (VALUES %b) AS ended (run, at) ON ended.run OPERATOR(pg_catalog.=) "
            b'(pg_catalog.lower(found.run[1]) COLLATE pg_catalog."C"))'
        ) % (self._literal(RUN_ID), ended)

    def _number(self, number: float) -> bytes:
        return self._literal(repr(number))

    def _literal(self, text: str) -> bytes:
        return bytes(self.escaping.escape_literal(text.encode()))


def _created_ms(created_at: int) -> bytes:
    if not created_at:
        return b"NULL::float"
    known = _MS % b"created_at"
    if created_at == _TIMESTAMPTZ:
        at = known
    else:
        behind = b"least(%b OPERATOR(pg_catalog.+) %d, %b)" % (known, _BEHIND_MS, _NOW_MS)
        at = b"CASE WHEN %b %b THEN %b ELSE %b END" % (known, _beyond_now(_AHEAD_MS), known, behind)
    # Asked of the value, since the column may have another type by now.
    return b"CASE WHEN %b THEN CASE WHEN pg_catalog.isfinite(created_at) THEN %b END END" % (
        is_of(b"created_at", created_at),
        at,
    )


def _has_no_zone(created_at: int) -> bool:
    return created_at not in (0, _TIMESTAMPTZ)


def _bounded(created_at: int) -> bytes:
    """`created`, unless it has no zone and the last commit is known, which wasn't before it; NULL then."""
    if not _has_no_zone(created_at):
        return b"created"
    return b"CASE WHEN committed IS NULL OR created %b THEN created END" % _beyond_now(_CLOCKS_APART_MS)


def _beyond_now(by_ms: float) -> bytes:
    """The end of a condition: that something is later than so long after now."""
    return b"OPERATOR(pg_catalog.>) (%b OPERATOR(pg_catalog.+) (%d))" % (_NOW_MS, by_ms)


def _text(expression: bytes) -> str:
    return expression.decode("utf-8", errors="surrogateescape")
