from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.text.plain_text import (
    one_line,
    plain,
    plain_lines,
    shortened_left,
    shortened_middle,
    shortened_names,
)


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    for character in plain(text):
        assert unicodedata.category(character)[0] != "C"
        assert unicodedata.category(character) not in ("Zl", "Zp")


@given(st.text(), st.integers(1, 20))
def test_a_limit_holds_for_what_comes_in(text: str, limit: int) -> None:
    assert len(plain(text, limit).encode()) <= len(plain(text).encode()) + 3
    if len(text) <= limit:
        assert plain(text, limit) == plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT 1", "SELECT 1"),
        ("a\x1b[31mred", "a␛[31mred"),
        ("a\nb\tc\x00", "a␊b␉c␀"),
        ("a\x7f\x9b", "a␡\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("größe 日本", "größe 日本"),
        ("\udcff", "\\udcff"),
    ],
)
def test_how_it_is_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_queries() -> None:
    assert one_line("SELECT\n  *\tFROM t") == "SELECT * FROM t"
    assert plain_lines("a\r\n\tb\x1b") == ["a", "    b␛"]


def test_cut_at_the_left() -> None:
    assert shortened_left("tests/a.py::test_b", 8) == "…:test_b"
    assert shortened_left("short", 8) == "short"


@given(st.text(), st.integers(0, 30))
def test_cut_in_the_middle(text: str, width: int) -> None:
    shown = shortened_middle(text, width)
    assert len(shown) <= max(width, 0) or shown == text
    if len(text) <= width:
        assert shown == text


def test_cut_in_the_middle_keeps_both_ends() -> None:
    assert shortened_middle("row of instructor_profiles (id=2)", 24) == "row of instr…iles (id=2)"


@given(st.lists(st.text("abc_", min_size=1, max_size=12), min_size=1, max_size=5), st.integers(0, 70))
def test_of_names_whole_ones_go(names: list[str], width: int) -> None:
    shown = shortened_names(", ".join(names), width)
    assert len(shown) <= width
    if "…" not in shown:
        kept, _, more = shown.partition(" +")
        listed = kept.split(", ") if kept else []
        assert listed == names[: len(listed)]
        assert len(listed) + int(more or 0) == len(names) or not width


def test_a_list_of_names_says_how_many_are_left_out() -> None:
    names = "test_title, test_import_users, test_signup_cleans_up"
    assert shortened_names(names, 52) == names
    assert shortened_names(names, 51) == "test_title, test_import_users +1"
    assert shortened_names(names, 31) == "test_title +2"
    assert shortened_names("test_import_users, test_title", 14) == "test_…users +1"
