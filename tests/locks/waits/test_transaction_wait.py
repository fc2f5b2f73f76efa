"""A row or a unique key: what the locks of both sides, the statement and the rows themselves tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pgwatch_tests.locks.model import Subject, TransactionWait
from pgwatch_tests.locks.waits.statement_text import effects
from pgwatch_tests.locks.waits.transaction_wait import ChangedRow, LockedTable, UniqueIndex, refined, visible

# Tables are 20000 and so on, the unique indexes of 20000 are 20001 and 20002.
PARENTS, CHILDREN, EVENTS, LEAF, LATE = 20000, 20010, 20020, 20030, 20040
TABLES = {
    PARENTS: LockedTable(
        PARENTS,
        frozenset({("public", "parents")}),
        "table",
        (
            UniqueIndex(PARENTS + 1, frozenset({"id"})),
            UniqueIndex(PARENTS + 2, frozenset({"email"})),
        ),
        frozenset({CHILDREN}),
    ),
    CHILDREN: LockedTable(
        CHILDREN,
        frozenset({("app", "children")}),
        "table",
        (UniqueIndex(CHILDREN + 1, frozenset({"id"})),),
    ),
    EVENTS: LockedTable(EVENTS, frozenset({("public", "events")}), "partitioned table"),
    LEAF: LockedTable(
        LEAF,
        frozenset({("public", "events"), ("public", "events_1")}),
        "table",
        (UniqueIndex(LEAF + 1, frozenset({"id"})),),
    ),
    LATE: LockedTable(
        LATE,
        frozenset({("public", "late")}),
        "table",
        (UniqueIndex(LATE + 1, frozenset({"id"}), is_deferrable=True),),
    ),
}
TABLES |= {
    oid: LockedTable(oid, frozenset({("public", f"index_{oid}")}), "index")
    for table in TABLES.values()
    for oid in (index.oid for index in table.unique_indexes)
}
OF_PARENTS = (PARENTS, PARENTS + 1, PARENTS + 2)
OF_CHILDREN = (CHILDREN, CHILDREN + 1)
ALONE, TOGETHER = ChangedRow(0, 7), ChangedRow(0, 8, frozenset({2, 3}))
Found = tuple[str, tuple[int, ...], tuple[int, ...]]


def waits(
    query: str,
    written: tuple[int, ...] = (),
    locked: tuple[int, ...] = (),
    blocker_written: tuple[int, ...] = (),
    blocker_locked: tuple[int, ...] = (),
    *,
    is_first: bool = False,
) -> Subject:
    sides = TransactionWait(
        2, 700, written, locked, blocker_written, blocker_locked, effects(query), is_first
    )
    return Subject("transaction", 5, words="end of transaction 700", sides=sides)


def told(
    subject: Subject,
    rows: dict[int, Sequence[ChangedRow]] | None = None,
    tables: dict[int, LockedTable] = TABLES,
) -> Found:
    """Kind, candidates for a row, candidates for a key. Without `rows`, no table can be read."""
    found = refined(subject, tables, lambda oid: None if rows is None else rows.get(oid, ()))
    if found.kind == "unique_key":
        return found.kind, (), found.relations
    return found.kind, found.relations, found.keys


def row(*oids: int) -> Found:
    return "row", oids, ()


def key(*oids: int) -> Found:
    return "unique_key", (), oids


UPDATE = "UPDATE parents SET n = n + 1 WHERE id = 1"
UPDATE_KEY = "UPDATE parents SET n = 1, email = 'a' WHERE id = 1"
INSERT = "INSERT INTO parents VALUES (1)"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (UPDATE, row(PARENTS)),
        ("UPDATE public.parents SET n = 1", row(PARENTS)),
        (UPDATE_KEY, ("row_or_key", (PARENTS,), (PARENTS,))),
        (INSERT, key(PARENTS)),
        ("COPY parents FROM STDIN", key(PARENTS)),
        ("DELETE FROM parents", row(PARENTS)),
        ("MERGE INTO parents USING x ON true WHEN MATCHED THEN UPDATE SET n = 1", row(PARENTS)),
        (
            "MERGE INTO parents USING x ON true WHEN NOT MATCHED THEN INSERT VALUES (1)",
            ("row_or_key", (PARENTS,), (PARENTS,)),
        ),
        # Hidden; a function; a view or another schema's table: anything.
        ("", ("row_or_key", (PARENTS,), (PARENTS,))),
        ("SELECT f()", ("row_or_key", (PARENTS,), (PARENTS,))),
        ("UPDATE v SET n = 1", ("row_or_key", (PARENTS,), (PARENTS,))),
        ("UPDATE app.parents SET n = 1", ("row_or_key", (PARENTS,), (PARENTS,))),
    ],
)
def test_what_the_statement_tells(query: str, expected: Found) -> None:
    assert told(waits(query, OF_PARENTS, (), OF_PARENTS)) == expected


def test_where_a_statement_has_not_opened_all_unique_indexes_no_key_is_checked() -> None:
    for missing in OF_PARENTS[1:]:
        written = tuple(oid for oid in OF_PARENTS if oid != missing)
        assert told(waits("", written, (), OF_PARENTS)) == row(PARENTS)
    # The children were inserted into before in the transaction: their index is closed again.
    assert told(waits("", (*OF_PARENTS, CHILDREN), (), (PARENTS, CHILDREN))) == (
        "row_or_key",
        (PARENTS, CHILDREN),
        (PARENTS,),
    )


def test_a_key_that_is_checked_at_the_end() -> None:
    assert told(waits("COMMIT", (LATE,), (LATE + 1,), (LATE,)), {}) == key(LATE)
    assert told(waits("COMMIT", (LATE,), (), (LATE,)), {}) == (
        "transaction",
        (),
        (),
    ), "its index isn't open"


def test_where_the_blocker_has_changed_no_row_it_is_the_key() -> None:
    subject = waits(UPDATE_KEY, OF_PARENTS, (), OF_PARENTS)
    assert told(subject, {}) == key(PARENTS)
    assert told(subject, {PARENTS: [ALONE]}) == ("row_or_key", (PARENTS,), (PARENTS,))


def test_a_single_changed_row_is_the_one() -> None:
    subject = waits(UPDATE, OF_PARENTS, (), OF_PARENTS)
    found = refined(subject, TABLES, lambda _: [ALONE])
    assert (found.page, found.offset, found.transaction, found.wanted_mode) == (0, 7, 700, "ExclusiveLock")
    assert refined(subject, TABLES, lambda _: [ALONE, TOGETHER]).page is None


def test_who_has_locked_the_row_with_others() -> None:
    subject = waits("DELETE FROM parents", OF_PARENTS, (PARENTS,), (CHILDREN,), (PARENTS,))
    assert told(subject) == row(PARENTS)
    # The blocker alone has locked that one: who waits for it takes its tuple lock.
    assert told(subject, {PARENTS: [ALONE]}) == ("transaction", (), ())
    found = refined(subject, TABLES, lambda _: [ALONE, TOGETHER])
    assert (found.page, found.offset, found.checking, found.referencing) == (0, 8, "blocker", (CHILDREN,))
    assert found.wanted_mode == "AccessExclusiveLock"


CHECK = waits("INSERT INTO children VALUES (1)", OF_CHILDREN, (PARENTS,), (PARENTS, CHILDREN))


def test_the_check_of_a_foreign_key() -> None:
    assert told(CHECK) == ("row_or_key", (PARENTS,), (CHILDREN,))
    found = refined(CHECK, TABLES, lambda oid: [ALONE] if oid == PARENTS else [])
    assert (found.page, found.checking, found.referencing) == (0, "waiter", OF_CHILDREN)
    # No row of the parents is in the way.
    assert told(CHECK, {}) == key(CHILDREN)


def test_foreign_keys_are_checked_after_the_keys_of_the_same_insert() -> None:
    assert CHECK.sides is not None
    first = replace(CHECK, sides=replace(CHECK.sides, is_first_statement=True))
    assert told(first) == row(PARENTS)
    several = waits(
        "INSERT INTO children VALUES (1); INSERT INTO children VALUES (2)",
        OF_CHILDREN,
        (PARENTS,),
        (PARENTS, CHILDREN),
        is_first=True,
    )
    assert told(several) == ("row_or_key", (PARENTS,), (CHILDREN,))


def test_rows_that_both_only_refer_to_are_in_nobodys_way() -> None:
    subject = waits("INSERT INTO children VALUES (1)", OF_CHILDREN, (PARENTS,), (CHILDREN,), (PARENTS,))
    assert told(subject, {PARENTS: [TOGETHER]}) == key(CHILDREN)
    # Unless the waiter may do something else, now that it isn't to be seen what.
    hidden = waits("", OF_CHILDREN, (PARENTS,), (CHILDREN,), (PARENTS,))
    assert told(hidden, {PARENTS: [TOGETHER]}) == ("row_or_key", (PARENTS,), (CHILDREN,))
    assert told(hidden, {}) == key(CHILDREN)
    locks = waits("SELECT * FROM parents FOR UPDATE", (), (PARENTS,), (CHILDREN,), (PARENTS,))
    assert told(locks, {PARENTS: [TOGETHER]}) == row(PARENTS)
    assert refined(locks, TABLES, lambda _: [TOGETHER]).checking == "blocker"


def test_who_locks_rows_of_a_table_checks_no_foreign_key() -> None:
    locks = waits("SELECT * FROM parents FOR UPDATE", (CHILDREN,), (PARENTS,), (PARENTS,))
    assert refined(locks, TABLES, lambda _: [ALONE]).checking == ""


def test_an_upsert_waits_for_a_row_only_with_those_that_share_its_lock() -> None:
    upsert = waits(
        "INSERT INTO parents VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1", OF_PARENTS, (), OF_PARENTS
    )
    assert told(upsert, {PARENTS: [ALONE]}) == key(PARENTS)
    assert told(upsert, {PARENTS: [TOGETHER]}) == ("row_or_key", (PARENTS,), (PARENTS,))


def test_a_delete_reaches_the_rows_that_refer_to_it() -> None:
    both = (PARENTS, CHILDREN)
    subject = waits("DELETE FROM parents", both, (), both)
    assert told(subject) == row(PARENTS, CHILDREN)
    assert told(subject, {CHILDREN: [ALONE]}) == row(CHILDREN)
    # Its own table is not among those of a statement on the children.
    assert told(waits("UPDATE app.children SET n = 1", both, (), both)) == row(CHILDREN)


def test_a_partitioned_table_has_neither_rows_nor_keys() -> None:
    subject = waits("INSERT INTO events VALUES (1)", (EVENTS, LEAF, LEAF + 1), (), (EVENTS, LEAF, LEAF + 1))
    assert told(subject) == key(LEAF)
    assert told(replace_query(subject, "UPDATE events SET n = 1")) == row(LEAF)


def replace_query(subject: Subject, query: str) -> Subject:
    assert subject.sides is not None
    return replace(subject, sides=replace(subject.sides, effects=effects(query)))


def test_triggers_may_do_anything() -> None:
    tables = TABLES | {PARENTS: replace(TABLES[PARENTS], runs_code=True)}
    subject = waits(UPDATE, OF_PARENTS, (), OF_PARENTS)
    assert told(subject, tables=tables) == ("row_or_key", (PARENTS,), (PARENTS,))


def test_a_key_with_a_generated_column_may_change_with_any() -> None:
    indexes = (UniqueIndex(PARENTS + 1, None), UniqueIndex(PARENTS + 2, frozenset({"email"})))
    tables = TABLES | {PARENTS: replace(TABLES[PARENTS], unique_indexes=indexes)}
    assert told(waits(UPDATE, OF_PARENTS, (), OF_PARENTS), tables=tables)[0] == "row_or_key"
    assert told(waits("DELETE FROM parents", OF_PARENTS, (), OF_PARENTS), tables=tables)[0] == "row"


def test_a_row_that_it_was_queued_for_is_the_one() -> None:
    subject = waits(UPDATE_KEY, OF_PARENTS, (), OF_PARENTS)
    assert subject.sides is not None
    queued = replace(subject, sides=replace(subject.sides, queued_row=(PARENTS, 0, 3)))
    assert told(queued) == row(PARENTS)
    # Even if it can't be seen any more: it has to be there.
    assert told(queued, {}) == row(PARENTS)


def test_nothing_is_said_before_the_tables_are_known() -> None:
    tables = {oid: table for oid, table in TABLES.items() if oid != PARENTS}
    subject = waits(UPDATE, OF_PARENTS, (), OF_PARENTS)
    assert refined(subject, tables, lambda _: []) == subject


def test_catalogs_have_keys_only() -> None:
    catalog = LockedTable(1247, frozenset({("pg_catalog", "pg_type")}), "table", (UniqueIndex(2703, None),))
    subject = waits("CREATE TABLE a ()", (1247, 2703), (), (1247,))
    assert told(subject, tables={1247: catalog, 2703: TABLES[PARENTS + 1]}) == key(1247)


def test_a_version_that_nobody_sees_is_found_by_those_who_share_it() -> None:
    sides = TransactionWait(2, 700)
    subject = Subject("row", 5, (PARENTS,), 0, 2, transaction=700, sides=sides)
    assert visible(subject, lambda _: [ALONE, TOGETHER]).offset == 8
    assert visible(subject, lambda _: [ALONE]).offset == 7
    assert visible(subject, lambda _: [ALONE, ALONE]) == subject
    assert visible(subject, lambda _: None) == subject
