"""Tests that statements name in comments."""

from __future__ import annotations

import pytest

from pgwatch_tests.identity.application_name import TestIdentity
from pgwatch_tests.identity.sql_comments import commented_test


@pytest.mark.parametrize(
    ("statement", "test"),
    [
        ("/*test='spec%2Fa_spec.rb%20books%20it'*/ SELECT 1", "spec/a_spec.rb books it"),
        ("SELECT 1 /*action='x',framework='rails',test='a%3A%3Ab'*/", "a::b"),
        ("SELECT 1 /* test='plain name' */;", "plain name"),
        ("SELECT 1 /*test='it isn\\'t'*/", "it isn't"),
        ("SELECT 1 /*first*/ /*test='second'*/", "second"),
        ("SELECT 'it''s' /*test='a'*/", "a"),
        ("SELECT $x$ /*test='no'*/ $x$ /*test='yes'*/", "yes"),
        ("SELECT '/*test=''no''*/'", None),
        ("SELECT \"/*test='no'*/\"", None),
        ("SELECT 1 -- /*test='no'*/", None),
        ("SELECT 1 /*latest='no'*/", None),
        ("SELECT 1 /*test='cut o", None),
        ("SELECT 1 /*test=''*/", None),
        ("SELECT test FROM tests", None),
    ],
)
def test_the_test_of_a_comment(statement: str, test: str | None) -> None:
    found = commented_test(statement)
    assert (found and found.test) == test


def test_a_session_name_in_a_comment() -> None:
    statement = "/*test='rspec%3A3%20spec%2Fa_spec.rb%20books'*/ SELECT 1"
    assert commented_test(statement) == TestIdentity("rspec", "3", "spec/a_spec.rb books")
    assert commented_test("/*test='a b'*/ SELECT 1") == TestIdentity("", "", "a b")


def test_hostile_statements_take_no_time() -> None:
    for part in ("/*test='", "'", "$$", "/*", '"', "/*test='a\\"):
        assert commented_test(f"test {part * 20_000}/*") is None
