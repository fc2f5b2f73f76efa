"""Commits that are to be judged: which rows may be theirs, which are new, which may be put back. Pure."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.pytest_plugin.verdicts.judge import RestoredRows, Suspect, judge
from pgwatch_tests.pytest_plugin.verdicts.look import Counters, FoundRow, FoundRows, Shape, Writes
from pgwatch_tests.pytest_plugin.verdicts.transactions.pending_commits import PendingCommits, Sight
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase, UnknownReason
from pgwatch_tests.testing.connections.writes import Verb, Written
from pgwatch_tests.testing.current_test import Owner

OWNER, DATABASE = Owner("test", "test_a"), ServedDatabase("h", "1", "d")
OID = 20_000


def commit(xid: int | None, *written: tuple[Verb, str], has_savepoints: bool = False) -> Commit:
    """A commit of the test's."""
    return Commit(
        OWNER,
        DATABASE,
        xid,
        has_flushed_counters=xid is not None,
        has_savepoints=has_savepoints,
        written=frozenset(Written(*one) for one in written),
    )


def shape(table: str = "users", oid: int = OID, born: int = 3) -> Shape:
    """A table with a key that nothing fills."""
    return Shape(
        oid, "public", table, "public", table, oid, ["id"], [], None, None, None, None, born, True, False
    )


def counters(next_xid: int, *tables: Writes) -> Counters:
    """The counters of a server that counts at once."""
    return Counters(f"90:{next_xid}:", False, 0, True, {one.oid: one for one in tables})


def pending(
    *commits: Commit, before: Counters | None = None, unknown_since: int | None = None
) -> PendingCommits:
    """Commits, and what was seen before them."""
    return PendingCommits(OWNER, DATABASE, Sight(before), list(commits), unknown_since)


def kinds(work: PendingCommits, now: Counters, *xmins: int) -> dict[str, int]:
    """The judgement of rows of these transactions in `users`."""
    rows = tuple(FoundRow(xmin, f"id={xmin}", "", None, None) for xmin in xmins)
    own = frozenset(one.xid for one in work.commits if one.xid is not None)
    judged = judge(
        FoundRows(shape(), len(rows), rows),
        Suspect("", 0, 0, own, work.written),
        may_be_updated=work.may_be_updated(now, OID),
        restored=work.rows_put_back(now, shape()),
        last_number=None,
    )
    return {str(kind): number for kind, number in judged.kinds.items()}


INSERTS, DELETES = commit(101, ("insert", "users")), commit(102, ("delete", "users"))
INSERTS_AGAIN = commit(103, ("insert", "users"))
BEFORE = counters(100, Writes(OID, 1, 10, 0, 0, 3))


def test_what_is_inserted_before_anything_is_deleted_is_new_whatever_others_delete() -> None:
    work = pending(INSERTS, DELETES, before=BEFORE)
    now = counters(110, Writes(OID, 1, 11, 0, 9, 3))
    assert kinds(work, now, 101) == {"new": 1}
    # An insert that follows may put back what was deleted.
    work = pending(INSERTS, DELETES, INSERTS_AGAIN, before=BEFORE)
    assert kinds(work, now, 101, 103) == {"new": 1, "unclear": 1}
    assert kinds(pending(DELETES, INSERTS_AGAIN, before=BEFORE), now, 103) == {"unclear": 1}


def test_net_counts_tell_nothing() -> None:
    work = pending(DELETES, INSERTS_AGAIN, before=BEFORE)
    # One deleted, and two inserted: one of these may be another's, or rolled back, and published late.
    assert kinds(work, counters(110, Writes(OID, 1, 12, 0, 1, 3)), 103) == {"unclear": 1}
    # Nothing was deleted, by anybody.
    assert kinds(work, counters(110, Writes(OID, 1, 12, 0, 0, 3)), 103) == {"new": 1}


def test_without_counters_statements_tell() -> None:
    late = Counters("90:110:", False, 0, counts_at_once=False, tables={})
    assert kinds(pending(INSERTS, DELETES, before=BEFORE), late, 101) == {"new": 1}
    assert kinds(pending(INSERTS, commit(102, ("update", "users")), before=BEFORE), late, 101) == {
        "unclear": 1
    }


def test_ids_that_are_not_known_are_of_tables_that_statements_name() -> None:
    nested = commit(101, ("insert", "other"), has_savepoints=True)
    assert pending(nested).may_have_written([102, 100, 120], shape("other"), 110) == {102}
    assert pending(nested).may_have_written([102], shape("users"), 110) == set()
    unknown = commit(None, ("insert", "other"))
    assert pending(unknown, unknown_since=105).may_have_written([104, 105], shape("other"), 110) == {105}
    assert pending(unknown, unknown_since=105).may_have_written([105], shape("users"), 110) == set()
    # What a function writes, no statement says.
    unclear = commit(None, ("unclear", ""))
    assert pending(nested, unclear, unknown_since=105).may_have_written([102, 106], shape(), 110) == {106}
    assert pending(INSERTS).may_have_written([102], shape(), 110) == set()


def test_a_table_of_its_own() -> None:
    own, made = frozenset({105}), shape(born=105)
    now = counters(110, Writes(OID, 1, 1, 0, 0, 105))
    work = pending(commit(None, ("unclear", "")), before=counters(100, Writes(1, 1, 0, 0, 0, 3)))
    seen = {1: shape("other", oid=1)}
    assert work.made_table(counters(110, *now.tables.values(), Writes(1, 1, 0, 0, 0, 3)), made, own, seen)
    assert work.made_table(now, made, own, seen)  # `other` is gone
    assert not work.made_table(now, made, own, {})  # what is gone may have been called so
    assert not work.made_table(now, made, own, {1: shape("users", oid=1)})  # it was made anew
    assert not work.made_table(now, shape(born=104), own, seen)  # another one made it
    there = pending(before=counters(100, Writes(OID, 1, 1, 0, 0, 105)))
    assert not there.made_table(now, made, own, seen)
    assert not pending().made_table(now, made, own, seen)  # nobody has looked before


def test_rows_of_a_table_of_its_own_are_new() -> None:
    rows = (FoundRow(105, "id=1", "", None, None),)
    suspect = Suspect("", 0, 0, frozenset({105}), None)
    judged = judge(
        FoundRows(shape(), 1, rows),
        suspect,
        may_be_updated=True,
        restored=RestoredRows(),
        last_number=None,
        is_own_table=True,
    )
    assert dict(judged.kinds) == {"new": 1}


def in_autocommit(unknown: UnknownReason = "autocommit") -> Commit:
    """A commit whose id isn't known."""
    return replace(commit(None, ("insert", "users")), unknown=unknown)


def test_from_which_id_on_rows_may_be_of_a_commit_without_one() -> None:
    # Asked right before the first of them: a later one in autocommit has a later id.
    work = pending(before=counters(90))
    work.add(commit(95), None, 91)
    work.add(in_autocommit(), 100, 91)
    work.add(in_autocommit(), None, 91)
    assert work.unknown_since == 100
    assert work.may_have_written({99, 100, 109, 110}, shape(), 110) == {100, 109}

    # Of two threads, the one that asked first may be the last to tell.
    work.add(in_autocommit(), 98, 91)
    assert work.unknown_since == 98

    # Another transaction may have had its id before: it is told of at its COMMIT.
    work.add(in_autocommit("typed"), None, 99)
    assert work.unknown_since == 90


def test_where_nobody_was_asked_the_last_look_counts() -> None:
    work = pending(before=counters(90))
    work.add(in_autocommit(), None, 91)
    assert work.unknown_since == 91

    nobody_looked = pending()
    nobody_looked.add(in_autocommit(), None, None)
    nobody_looked.add(in_autocommit("driver"), None, None)
    assert nobody_looked.may_have_written({1, 99}, shape(), 110) == {1, 99}
