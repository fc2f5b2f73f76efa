"""Markers inside of longer text, on a real server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting
from tests.leaks.scanning import insert, rows, scanned
from tests.servers.sessions import Database

INSIDE = tuple(replace(marker, inside=True) for marker in DEFAULT_MARKERS)


def found(
    database: Database, owner: Connection[TupleRow], wanted: tuple[MarkerSetting, ...], values: list[str]
) -> list[str]:
    """Which of the values bear one of the markers."""
    for number, value in enumerate(values):
        owner.execute(sql.SQL("CREATE TABLE {} (c text)").format(sql.Identifier(f"t{number}")))
        insert(owner, f"t{number}", value)
    leaks = scanned(database.dsn, wanted).tables
    return [value for number, value in enumerate(values) if f"t{number}" in {leak.table for leak in leaks}]


MARKED = [
    "x@test.example.com",
    "contact: x@test.example.com, y",
    "Contact <X@Test.EXAMPLE.com>",
    "x@test.example.com.",
    "It was x@test.example.com. Then",
    "really x@test.example.com...",
    "mailto:x@test.example.com?subject=y",
    "https://x@test.example.com/y",
    "x@test.example.comです",
    "one\nx@test.example.com\ntwo",
    "y@test.example.com.evil.org and x@test.example.com",
    "see user_1717171717171_abc there",
    "éuser_1717171717171_abc",
    "/users/user_1717171717171_a1-b2_c3/edit",
    "user_1717171717171_abc@mail.org",
    '{"id":"user_1717171717171_abc"}',
]
NEAR_MISSES = [
    "x@test.example.com.evil.org",
    "contact: x@test.example.com.evil.org, y",
    "x@test.example.community",
    "see x@test.example.community there",
    "x@test.example.com-evil.org",
    "x@test.example.com--evil.org",
    "x@test.example.com@evil.org",
    "x@test.example.com_",
    "x@test.example.com1",
    "see xtest.example.com there",
    "x@testXexample.com, y",
    "x@ test.example.com",
    "see user_17171717171711_abc there",
    "see user_171717171717_abc there",
    "see user_1717171717171_ there",
    "see userX1717171717171Xabc there",
    "1user_1717171717171_abc",
    "see 1user_1717171717171_abc",
    "",
]


def test_inside_longer_text(database: Database, owner: Connection[TupleRow]) -> None:
    assert found(database, owner, INSIDE, MARKED + NEAR_MISSES) == MARKED


def test_in_arrays_and_json(database: Database, owner: Connection[TupleRow]) -> None:
    for type_ in ("text[]", "jsonb", "json"):
        owner.execute(sql.SQL("CREATE TABLE {} (c text, v {})").format(sql.Identifier(type_), sql.SQL(type_)))
        owner.execute(
            sql.SQL("INSERT INTO {0} SELECT v, {1} FROM unnest({2}::text[]) AS value(v)").format(
                sql.Identifier(type_),
                sql.SQL("ARRAY['x', v]" if type_ == "text[]" else f"json_build_object('k', v)::{type_}"),
                sql.Literal(MARKED + NEAR_MISSES),
            )
        )
        owner.execute(sql.SQL("ALTER TABLE {} DROP COLUMN c").format(sql.Identifier(type_)))

    assert rows(scanned(database.dsn, INSIDE)) == {
        "public.json": len(MARKED),
        "public.jsonb": len(MARKED),
        "public.text[]": len(MARKED),
    }


@pytest.mark.parametrize(
    ("marker", "marked", "others"),
    [
        (
            MarkerSetting("m", "qa-%", inside=True),
            ["qa-", "QA-1", "the qa-1", "(qa-x)", "x.qa-1"],
            ["xqa-1", "x-qa-1", "qa", "q-a-1"],
        ),
        (MarkerSetting("m", "%-qa", inside=True), ["x-qa", "x-QA, y"], ["x-qa1", "x-qa-2", "x-qa.y"]),
        (MarkerSetting("m", r"t\_1", inside=True), ["t_1", "a T_1 b", "t_1."], ["tx1", "at_1", "t_12"]),
        (MarkerSetting("m", "a%b", inside=True), ["ab", "see a x b there"], ["xab", "abx", "b a"]),
        (MarkerSetting("m", "%*(b.", inside=True), ["*(b.", "x*(B.y"], ["*(bx", "(b."]),
        (MarkerSetting("m", "%@école", inside=True), ["x@éCOLE, y"], ["x@ecole", "x@écoles"]),
        (MarkerSetting("m", "%qa%", inside=True), ["xQAx"], ["q"]),
        (
            MarkerSetting("m", "^e2e_[0-9]+$", True, True),
            ["e2e_1", "a e2e_12, b"],
            ["xe2e_1", "e2e_1x", "E2E_1"],
        ),
        (MarkerSetting("m", "(?i)^e2e$", True, True), ["an E2E test"], ["e2es"]),
        (MarkerSetting("m", r"a\$", True, True), ["x a$ b"], ["a"]),
        (MarkerSetting("m", r"^a|b$", True, True), ["x a y", "x b y"], ["ax", "c"]),
    ],
)
def test_other_markers(
    database: Database,
    owner: Connection[TupleRow],
    marker: MarkerSetting,
    marked: list[str],
    others: list[str],
) -> None:
    assert found(database, owner, (marker,), marked + others) == marked


def test_the_report_says_that_it_was_asked_for(database: Database) -> None:
    assert scanned(database.dsn, INSIDE[:1]).markers == ("test email (also inside longer text)",)


@pytest.mark.parametrize("expression", ["***=a", "(?q)a", "(?x)a", "(?b)a"])
def test_kinds_of_expressions_that_cant_be_put_into_another(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be looked for inside longer text"):
        markers([MarkerSetting("m", expression, True, True)])
