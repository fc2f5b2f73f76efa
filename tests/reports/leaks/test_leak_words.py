"""The words that all formats of a scan share: what counts, what can't be seen, what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgwatch_tests.accepted_findings import ANY_TEST, Finding
from pgwatch_tests.leaks.gate import DEFAULT_KINDS, Gate
from pgwatch_tests.leaks.model import (
    Accepted,
    AcceptedUse,
    BaselineUse,
    LeakReport,
    LeaksOfDatabases,
    TableLeak,
    UnreadColumn,
)
from pgwatch_tests.reports.leaks import leak_github, leak_junit, leak_markdown, leak_table, leak_words

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GATE = Gate()
CLEAN = LeakReport(AT, "18.1", "app", ("test email",), 5, (), (), 0.25, kinds_checked=DEFAULT_KINDS)
SINCE = replace(CLEAN, baseline=BaselineUse(AT, "snapshot"))
ANY = replace(
    SINCE,
    mode="any",
    markers=(),
    tables=(TableLeak("public", "users", "table", ("email",), 3, samples=("id=1",), changed=2),),
)
UNSEEN = "Rows without a marker aren't counted"
FORMATS: dict[str, tuple[Callable[[LeakReport], str], Callable[[LeaksOfDatabases], str]]] = {
    "table": (leak_table.table, leak_table.table),
    "markdown": (
        lambda report: leak_markdown.document(report, GATE),
        lambda leaks: leak_markdown.document(leaks, GATE),
    ),
    "github": (
        lambda report: leak_github.document(report, GATE),
        lambda leaks: leak_github.document(leaks, GATE),
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_clean_count_says_once_what_it_cannot_see(form: str) -> None:
    one, several = FORMATS[form]

    assert one(CLEAN).count(f"{UNSEEN}. To see these: `pgwatch-tests baseline -o FILE`") == 1
    assert f"{UNSEEN}; --any counts these too" in one(SINCE)
    assert UNSEEN not in one(ANY)
    assert several(LeaksOfDatabases(AT, (CLEAN, replace(CLEAN, database="b")), (), 1.0)).count(UNSEEN) == 1
    marked = replace(CLEAN, database="b", tables=ANY.tables)
    assert UNSEEN not in several(LeaksOfDatabases(AT, (CLEAN, marked), (), 1.0))


def test_rows_of_any_kind_are_called_so_everywhere() -> None:
    assert "::error title=3 new or changed rows (2 changed) in public.users::" in leak_github.document(
        ANY, GATE
    )
    markdown = leak_markdown.document(ANY, GATE)
    assert "Checked 5 tables for any row. " in markdown
    junit = leak_junit.document(ANY, GATE)
    assert 'name="no new or changed rows in public.users"' in junit
    assert 'name="no new or changed rows in 4 other tables"' in junit
    assert 'message="3 new or changed rows (2 changed)"' in junit


def test_columns_that_are_not_read_are_named_where_a_gate_asks_for_them() -> None:
    found = replace(CLEAN, unread=(UnreadColumn("public", "files", "body", "bytea"),))
    asking = Gate(frozenset({"rows", "unread"}))

    assert "Not read: `public.files.body (bytea)`. " in leak_markdown.document(found, GATE)
    assert "not read" not in leak_github.document(found, GATE)
    assert (
        "::error title=not read in database app%3A 1 column::public.files.body (bytea)%0A"
        f"{leak_words.UNREAD_HINT}\n"
    ) in leak_github.document(found, asking)
    assert "all columns are read" not in leak_junit.document(found, GATE)
    assert '<skipped message="not read: 1 column"' in leak_junit.document(found, asking)


def test_what_is_accepted_is_counted_in_words() -> None:
    rows, schema = (
        Finding("leaks", "rows", "public.users", ANY_TEST),
        Finding("leaks", "schema", "test_*", ""),
    )
    known = AcceptedUse((Accepted(rows, 1), Accepted(schema, 2)), gone=(rows,))

    assert leak_words.accepted(known, str) == [
        "Accepted, not counted: 1 row of public.users; 2 schema test_*",
        "Accepted, but not found any more: rows of public.users; remove from the file",
    ]
    assert not leak_words.unseen(replace(CLEAN, accepted=known))
