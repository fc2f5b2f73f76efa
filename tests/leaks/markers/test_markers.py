from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.markers.markers import Condition, markers
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting

ID_MARKER = DEFAULT_MARKERS[1]


def conditions(pattern: str, regex: bool = False) -> tuple[Condition, ...]:
    return markers([MarkerSetting("m", pattern, regex)])[0].conditions


def like(value: str, pattern: str) -> bool:
    """LIKE as the PostgreSQL manual has it (Pattern Matching)."""
    expression = re.sub(
        r"\\(.)|(%)|(_)|(.)",
        lambda found: ".*" if found[2] else "." if found[3] else re.escape(found[1] or found[4]),
        pattern,
        flags=re.DOTALL,
    )
    return re.fullmatch(expression, value, re.DOTALL) is not None


def test_the_default_markers_have_a_cheap_condition_first() -> None:
    email, test_id = markers(DEFAULT_MARKERS)

    assert email.name == "test email"
    assert email.conditions == (
        Condition("LIKE", "%@____._______.___"),
        Condition("ILIKE", "%@test.example.com"),
    )
    assert test_id.name == "test id"
    assert test_id.conditions == (
        Condition("LIKE", r"%\_1____________\_%"),
        Condition("~", ID_MARKER.pattern, "default"),
    )


@settings(deadline=None)
@given(st.from_regex(ID_MARKER.pattern.replace("$", r"\Z"), alphabet=st.characters(codec="ascii")))
def test_every_test_id_passes_its_cheap_condition(value: str) -> None:
    assert like(value, conditions(ID_MARKER.pattern, regex=True)[0].pattern)


patterns = st.text(st.sampled_from("%_aB.@1é☃ -"), min_size=1, max_size=8)


@settings(deadline=None)
@given(patterns, st.text(st.sampled_from("aAbB.@1éÉ☃ -%_x"), max_size=10))
def test_what_the_marker_matches_passes_its_cheap_condition(pattern: str, value: str) -> None:
    *cheap, exact = conditions(pattern)

    if exact.operator == "ILIKE" and like(value.lower(), pattern.lower()):
        assert all(like(value, condition.pattern) for condition in cheap)


@settings(deadline=None)
@given(patterns)
def test_letters_are_compared_whatever_their_case(pattern: str) -> None:
    exact = conditions(pattern)[-1]

    assert exact.pattern == pattern
    assert exact.operator == ("ILIKE" if re.search("[a-zA-Zé☃]", pattern) else "LIKE")


def test_letters_beyond_ascii_have_the_cases_of_the_database() -> None:
    assert conditions("%@exämple.org")[-1] == Condition("ILIKE", "%@exämple.org", "default")


def test_a_pattern_of_letters_alone_has_no_cheap_condition() -> None:
    assert conditions("%test%") == (Condition("ILIKE", "%test%"),)


@pytest.mark.parametrize(
    ("pattern", "cheap"),
    [
        (r"100\%\_a@x", r"100\%\__@_"),
        (r"\a\@b", r"_\@_"),
        ("é@%", "%@%"),
    ],
)
def test_the_cheap_condition_keeps_everything_but_letters(pattern: str, cheap: str) -> None:
    assert conditions(pattern)[0] == Condition("LIKE", cheap)


@pytest.mark.parametrize(
    ("expression", "cheap"),
    [
        ("^user_[0-9]+$", r"user\_%"),
        ("^qa-", "qa-%"),
        ("^users?$", "user%"),
        ("^a*b", None),
        ("^ab*", "a%"),
        ("^ab{0}c", "a%"),
        ("^ab+", "ab%"),
        ("^a|b", None),
        ("^user_(a|b)", None),
        ("user_", None),
        ("(?i)^user", None),
        (r"^\d", None),
    ],
)
def test_a_regular_expression_is_spared_where_its_beginning_is_plain(
    expression: str, cheap: str | None
) -> None:
    *before, last = conditions(expression, regex=True)

    assert last == Condition("~", expression, "default")
    assert before == ([] if cheap is None else [Condition("LIKE", cheap)])


@pytest.mark.parametrize("pattern", ["abc\\", "\\", "a\\\\\\"])
def test_an_escape_of_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="ends in a backslash"):
        conditions(pattern)


def test_an_escaped_backslash_at_the_end_is_fine() -> None:
    assert conditions("1\\\\") == (Condition("LIKE", "1\\\\"),)


def test_text_that_no_database_can_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="isn't valid text"):
        conditions("%\udcff")


@pytest.mark.parametrize(
    ("marker", "trace"),
    [
        (DEFAULT_MARKERS[0], "%%@____._______.___%"),
        (DEFAULT_MARKERS[1], r"%%\_1____________\_%"),
        (MarkerSetting("m", "1_2"), "%1_%2%"),
        (MarkerSetting("m", r"1\_\%2"), r"%1\_\%2%"),
        (MarkerSetting("m", '1"2/3\\\\4\x015é6'), "%1%2%3%4%5%6%"),
        (MarkerSetting("m", "aé1"), "%%%1%"),
        (MarkerSetting("m", "%qa%"), None),
        (MarkerSetting("m", "^qa-", regex=True), "%qa-%"),
        (MarkerSetting("m", "qa-", regex=True), None),
    ],
)
def test_what_a_match_leaves_in_the_output_of_a_value_around_it(
    marker: MarkerSetting, trace: str | None
) -> None:
    (plain,) = markers([marker])
    (inside,) = markers([replace(marker, inside=True)])

    assert plain.trace == inside.trace == trace


@pytest.mark.parametrize(
    ("marker", "inside"),
    [
        (
            DEFAULT_MARKERS[0],
            (
                Condition("LIKE", "%%@____._______.___%"),
                Condition("~", r"(?i)\@test\.example\.com(?!-*[.@]?[A-Za-z0-9_])"),
            ),
        ),
        (
            MarkerSetting("m", "^qa-1$", regex=True),
            (
                Condition("LIKE", "%qa-1%"),
                Condition("~", "(?<![A-Za-z0-9_-])(?:qa-1)(?![A-Za-z0-9_])", "default"),
            ),
        ),
        (MarkerSetting("m", "%qa%"), (Condition("ILIKE", "%qa%"),)),
    ],
)
def test_conditions_inside_longer_text(marker: MarkerSetting, inside: tuple[Condition, ...]) -> None:
    assert markers([replace(marker, inside=True)])[0].conditions == inside


def test_work_grows_with_the_length_of_a_pattern_not_with_its_square() -> None:
    began = time.process_time()

    [marker] = markers([MarkerSetting("long", "a" * 20_000)])

    assert len(marker.conditions[0].pattern) == 20_000
    assert time.process_time() - began < 5
