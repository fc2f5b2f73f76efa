"""Remedies of leaks: what to change in the tests, a statement to copy, and what a sweep can remove. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_tests.leaks.attribution.ladder import NO_KNOWN_TEST, NO_LOG
from pgwatch_tests.leaks.attribution.rows_by_test import is_certain
from pgwatch_tests.leaks.model import Leftover, LeftoverKind, TableLeak
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.sql_names import identifier, literal

MATERIALIZED = "materialized view"

NAME_HASHES = (
    "Start this with --tests FILE (pytest --collect-only -q prints it): it names the tests of hashes"
)
"""What names the test of a hash that no known test has."""
KEEP_LOG = (
    "Make values with unique_email or unique_id, or keep a transaction log: pgwatch-tests run -- pytest "
    "--pgwatch=warn, or pytest --pgwatch-log DIR and PGWATCH_TRANSACTIONS=DIR here"
)
"""What makes tests known where nobody has kept a log."""
MAKE_KNOWN = (
    "Make values with unique_email or unique_id, which carry the test's hash; run once without -n; or use "
    "a transaction instead of autocommit"
)
"""What makes a test known that the log doesn't tell."""

_SWEPT: dict[LeftoverKind, SweepKind] = {
    "schema": "schemas",
    "database": "databases",
    "prepared_transaction": "prepared",
}
_STATEMENT = re.compile(r"(?:ALTER|COMMENT|DROP|GRANT|REFRESH|REINDEX|ROLLBACK|SELECT|VACUUM)\b")
_PYTEST_FILE = re.compile(r"\.py(?:::|$)")
_FIXES: dict[LeftoverKind, str] = {
    "schema": "Drop it where its test ends; one made by pgwatch_tests.testing goes with the run's lease",
    "idle_in_transaction": "Close the session, or end its transaction, where its test ends",
    "prepared_transaction": "Commit it or roll it back where its test ends",
    "advisory_lock": "Use pg_advisory_xact_lock, which ends with its transaction",
    "database": "Drop it where its suite ends",
    "replication_slot": "Drop it where its test ends: it holds WAL back",
    "temporary_schema": "It goes with the next session that takes its number",
    "invalid_index": "Build it again, or drop it: it costs writes and helps no query",
    "unlogged_table": "A crash empties it: make it logged if that matters",
    "large_object": "Unlink what the test made: lo_unlink, or vacuumlo",
}


@dataclass(frozen=True, slots=True)
class Copyable:
    """A text to copy, and what it is: `the GRANT`."""

    what: str
    text: str


def table_fix(leak: TableLeak) -> str:
    """What to change so that the rows aren't left any more."""
    if leak.kind == MATERIALIZED:
        return "Remove the rows that it was made from, then refresh it"
    known = [one for one in leak.attribution if is_certain(one)]
    if known:
        test = plain(known[0].test)
        if _PYTEST_FILE.search(test):
            return "Let that test use the fixture cleanup_test or rollback_session"
        return "Let that test remove what it makes where it ends, or roll it back"
    if any(one.candidates for one in leak.attribution):
        return MAKE_KNOWN
    if leak.attribution:
        fixes = {unknown_fix(one.detail) for one in leak.attribution}
        return next(one for one in (NAME_HASHES, KEEP_LOG, MAKE_KNOWN) if one in fixes)
    return "Let its test remove what it makes where it ends, or roll it back"


def unknown_fix(detail: str) -> str:
    """What tells which test left rows, of which it isn't known for that reason."""
    if detail.endswith(NO_KNOWN_TEST):
        return NAME_HASHES
    return KEEP_LOG if detail == NO_LOG else MAKE_KNOWN


def leftover_fix(one: Leftover) -> str:
    """What to do about a leftover."""
    return _FIXES.get(one.kind, "") if not one.hint else plain(one.hint)


def table_copies(leak: TableLeak) -> tuple[Copyable, ...]:
    """What helps against the rows of one table."""
    name = f"{leak.schema}.{leak.table}"
    if leak.kind == MATERIALIZED:
        view = f"{identifier(leak.schema)}.{identifier(leak.table)}"
        return (Copyable("the REFRESH", f"REFRESH MATERIALIZED VIEW {view}"),)
    if not name.isprintable():
        return ()
    return (Copyable("the sweep of just these rows", f"pgwatch-tests sweep --table {shlex.quote(name)}"),)


def leftover_copies(one: Leftover) -> tuple[Copyable, ...]:
    """The statement that removes a leftover, if there is one."""
    if one.hint:
        return hint_copies(one.hint)
    match one.kind:
        case "schema" | "database" | "prepared_transaction":
            return removals(_SWEPT[one.kind], (one.name,))
        case "temporary_schema":
            return removals("schemas", (one.name,))
        case "replication_slot":
            drop = f"SELECT pg_drop_replication_slot({literal(one.name)})"
            return (Copyable("the statement that drops it", drop),)
        case "idle_in_transaction" | "advisory_lock" if one.session is not None:
            end = f"SELECT pg_terminate_backend({one.session.pid})"
            what = "it" if one.kind == "idle_in_transaction" else "its session"
            return (Copyable(f"the statement that ends {what}", end),)
    return ()


def removals(kind: SweepKind, names: Sequence[str]) -> tuple[Copyable, ...]:
    """The statements that remove schemas, databases or prepared transactions, to copy; none for others."""
    match kind:
        case "schemas":
            what, statements = "the DROP", [f"DROP SCHEMA {identifier(name)} CASCADE" for name in names]
        case "databases":
            what, statements = "the DROP", [f"DROP DATABASE {identifier(name)}" for name in names]
        case "prepared":
            what, statements = "the ROLLBACK", [f"ROLLBACK PREPARED {literal(name)}" for name in names]
        case _:
            return ()
    return (Copyable(what, ";\n".join(statements)),) if statements else ()


def hint_copies(hint: str) -> tuple[Copyable, ...]:
    """The statement that a hint is, if it is one: `GRANT SELECT ON …`."""
    statement = _STATEMENT.match(hint)
    if statement is None or not hint.isprintable():
        return ()
    return (Copyable(f"the {statement[0]}", hint),)


def part_of_table(leak: TableLeak) -> SweepPart | None:
    """What a sweep of just these rows is asked for; None if none removes them."""
    if leak.kind == MATERIALIZED:
        return None
    return SweepPart("rows", f"{leak.schema}.{leak.table}")


def part_of_leftover(one: Leftover) -> SweepPart | None:
    """What a sweep of just this is asked for; None if none removes it."""
    kind = _SWEPT.get(one.kind)
    return None if kind is None or _is_of_others(one) else SweepPart(kind, one.name)


def part_to_ask_about(one: Leftover) -> SweepPart | None:
    """What goes once somebody has seen what it is, and said yes; None if that isn't asked of it."""
    if one.kind == "prepared_transaction" or (one.kind == "schema" and _is_of_others(one)):
        return SweepPart(_SWEPT[one.kind], one.name)
    return None


def _is_of_others(one: Leftover) -> bool:
    """Whether a sweep leaves it since its name tells neither its age nor whose lease to look for."""
    return one.kind in ("schema", "database") and not is_orphan_name(one.name)


def why_not_swept(one: Leftover | TableLeak) -> str:
    """Why no sweep removes it, as a sentence."""
    if isinstance(one, TableLeak):
        return "A materialized view isn't swept: refresh it once its rows are gone."
    if _is_of_others(one):
        return (
            f"A sweep leaves this {leak_words.kind(one.kind)}: only of what pgwatch_tests.testing named can "
            "it tell whether its run is over. Once it is, drop it yourself."
        )
    return f"A sweep doesn't remove {leak_words.kind(one.kind, 2)}."
