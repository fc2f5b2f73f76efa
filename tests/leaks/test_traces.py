"""The cheap condition never misses what the exact one finds, and that finds what Python does."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection, pq, sql
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.markers.value_forms import Elements, Form, Leaf, Parts
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting
from tests.servers.sessions import Connect

TEXT, JSON, JSONB = Leaf("string"), Leaf("json"), Leaf("jsonb")
FORMS: dict[str, Form] = {
    "j": JSON,
    "b": JSONB,
    "ja": Elements(JSON),
    "ba": Elements(JSONB),
    "c": Parts((("field", 1, TEXT), ("field", 2, JSON), ("field", 3, Elements(JSONB)))),
    "ca": Elements(Parts((("field", 1, TEXT), ("field", 2, JSON), ("field", 3, Elements(JSONB))))),
}
CHARACTERS = "aAbB@._1-/\\\"' %,(){}[]:u0\n\t\x01éÉ☃😀"
BESIDE = [
    "%@test.example.com",
    "qa-%",
    "a/b",
    '%"%a',
    "%\\\\b",
    "_@_",
    "a__b",
    "1_2",
    "%é@b%",
    "a\x01%",
    "[1%",
    "%: %",
    "%}",
]

patterns = st.one_of(
    st.sampled_from(BESIDE),
    st.text(st.sampled_from(CHARACTERS.replace("\\", "") + "%%__"), min_size=1, max_size=6).filter(
        lambda pattern: pattern.strip("%") != ""
    ),
)
values = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8)


def match(pattern: str, text: str, case: int) -> str:
    """A value that the pattern takes, with a text where it has room for one."""
    filled = re.sub(
        r"\\(.)|(%)|(_)",
        lambda found: text if found[2] else text[0] if found[3] else found[1],
        pattern.swapcase() if case % 2 else pattern,
    )
    return filled if case % 3 else f"see {filled}, there"


def like(value: str, pattern: str) -> bool:
    """LIKE as the PostgreSQL manual has it (Pattern Matching), the case of ASCII's letters ignored."""
    expression = re.sub(
        r"\\(.)|(%)|(_)|(.)",
        lambda found: ".*" if found[2] else "." if found[3] else re.escape(found[1] or found[4]),
        pattern,
        flags=re.DOTALL,
    )
    return re.fullmatch(expression, value, re.DOTALL | re.IGNORECASE | re.ASCII) is not None


def escaped(text: str, how: int) -> str:
    """A JSON string, some of its characters with escapes that need not be."""
    written = json.dumps(text, ensure_ascii=how % 2 == 1)
    if how % 3 == 1:
        written = written.replace("a", "\\u0061").replace("@", "\\u0040")
    return written.replace("/", "\\/") if how % 3 == 2 else written


@pytest.fixture
def owner(connect: Connect) -> Connection[TupleRow]:
    """A session in which there are tables for all forms."""
    owner = connect(autocommit=True)
    owner.execute("CREATE TYPE pieces AS (t text, j json, b jsonb[])")
    owner.execute("CREATE TABLE t (i int, j json, b jsonb, ja json[], ba jsonb[], c pieces, ca pieces[])")
    return owner


def fill(owner: Connection[TupleRow], written: Sequence[str]) -> None:
    """A row for each string of JSON, as a value and as a key of it, in all forms."""
    owner.execute("TRUNCATE t")
    documents = [
        f'[1, {{"k": {text}}}]' if number % 2 else f'{{{text}: ["x"]}}' for number, text in enumerate(written)
    ]
    owner.execute(
        sql.SQL(
            "INSERT INTO t SELECT i, d::json, d::jsonb, ARRAY['1', d::json], ARRAY['1', d::jsonb],"
            " ROW('\"\\', d, ARRAY[d::jsonb])::pieces,"
            " ARRAY[NULL, ROW(d::json #>> '{{}}', '1', NULL)::pieces]"
            " FROM unnest({}::text[]) WITH ORDINALITY AS given(d, i)"
        ).format(sql.Literal(documents))
    )


def test_the_cheap_condition_never_misses(owner: Connection[TupleRow]) -> None:
    escaping = pq.Escaping(owner.pgconn)
    seen = {"examples": 0, "matches": 0}

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(
        st.lists(st.tuples(values, st.integers(0, 5)), min_size=15, max_size=30),
        st.lists(st.tuples(patterns, st.booleans()), min_size=4, max_size=8),
    )
    def check(given_values: list[tuple[str, int]], given_patterns: list[tuple[str, bool]]) -> None:
        given_values += [
            (match(pattern, text, number), how)
            for number, (pattern, _) in enumerate(given_patterns, start=1)
            for text, how in given_values[:15]
        ]
        ids = ("user_1717171717171_abc", "see user_1717171717171_abc", "user_171717171717_abc")
        given_values += [(text, how) for text in ids for how in range(6)]
        fill(owner, [escaped(value, how) for value, how in given_values])
        configured = [MarkerSetting("m", pattern, inside=inside) for pattern, inside in given_patterns]
        configured += [*DEFAULT_MARKERS, replace(DEFAULT_MARKERS[1], inside=True)]
        for setting in configured:
            statements = MarkedRowStatements(escaping, markers([setting]))
            for column, form in FORMS.items():
                cheap = statements.may_match(column, form)
                exact = statements.matches(column, form)
                if cheap is not None:
                    exact = exact.removeprefix(b"(" + cheap + b" AND ").removesuffix(b")")
                    assert exact.startswith(b"EXISTS")
                found = owner.execute(
                    b"SELECT i, %b FROM t WHERE %b ORDER BY i" % (cheap or b"true", exact)
                ).fetchall()
                assert all(passes for _, passes in found), (setting, column, found)
                seen["examples"] += len(given_values)
                seen["matches"] += len(found)
                if not setting.regex and not setting.inside and setting.pattern.isascii() and column in "jb":
                    wanted = [
                        i
                        for i, (value, _) in enumerate(given_values, start=1)
                        if any(like(text, setting.pattern) for text in (value, "k" if i % 2 == 0 else "x"))
                    ]
                    assert [i for i, _ in found] == wanted, setting

    check()

    assert seen["examples"] > 10_000
    assert seen["matches"] > 500
