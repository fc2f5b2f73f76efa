"""SQL in tones: nothing of a statement is lost, and nothing of it is more than plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.text.plain_text import plain_lines
from pgwatch_tests.text.toned_sql import toned_sql, toned_sql_line
from pgwatch_tests.text.toned_text import text_of

STATEMENTS = st.text(st.sampled_from("SELECT from'\"$1-/*;\n\r\t\x1b\u202e[/red] \\é"), max_size=60)


@given(STATEMENTS)
def test_the_lines_are_those_of_the_plain_text(query: str) -> None:
    shown = [text_of(line) for line in toned_sql(query)]
    # A tab widens to the next stop of its line; within a token that is counted anew.
    assert [line.replace(" ", "") for line in shown] == [line.replace(" ", "") for line in plain_lines(query)]
    assert all(line.isprintable() for line in shown)


@given(STATEMENTS)
def test_on_one_line_nothing_but_white_space_goes(query: str) -> None:
    shown = text_of(toned_sql_line(query))
    assert "\n" not in shown
    assert shown.isprintable()
    assert shown == shown.strip()


def test_keywords_strings_and_comments_are_told_apart() -> None:
    [line] = toned_sql("select name, 'x' from users -- all")
    assert [(part.text, part.tone) for part in line if part.tone] == [
        ("select", "keyword"),
        ("'x'", "literal"),
        ("from", "keyword"),
        ("-- all", "quiet"),
    ]
    assert text_of(toned_sql_line("SELECT  1\n  FROM t")) == "SELECT 1 FROM t"
