"""A detail fits its width, and what to do is within its height, whatever else has to go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.reports.render.detail_text import Detail, Labelled, Line, detail_lines, hung, labelled
from pgwatch_tests.text.toned_text import Toned, text_of

WORDS = st.text("ab  c", min_size=1, max_size=120)
TEXTS = st.lists(
    st.builds(
        lambda text, vital: labelled("Fix" if vital else "Why", text, vital=vital), WORDS, st.booleans()
    ),
    max_size=5,
)


@st.composite
def details(draw: st.DrawFn) -> Detail:
    return Detail((Toned(draw(WORDS)),), tuple(draw(TEXTS)))


def letters(lines: list[Line]) -> str:
    return "".join("".join(map(text_of, lines)).split())


@given(details(), st.integers(16, 90))
def test_no_line_is_too_wide_and_no_word_is_lost(detail: Detail, width: int) -> None:
    lines = detail_lines(detail, width)
    assert all(len(text_of(line)) <= width for line in lines)
    said = "".join(text_of(line).replace("Fix", "").replace("Why", "") for line in lines)
    expected = text_of(detail.title) + "".join(text_of(one.lines[0]) for one in detail.texts)
    assert "".join(said.split()) == "".join(expected.split())


@given(details(), st.integers(-4, 3), st.integers(1, 3) | st.none())
def test_no_room_at_all_ends_in_lines_too(detail: Detail, width: int, height: int | None) -> None:
    assert detail_lines(detail, width, height)


@given(details(), st.integers(20, 90), st.integers(1, 12))
def test_what_to_do_is_within_the_height(detail: Detail, width: int, height: int) -> None:
    vital = tuple(one for one in detail.texts if one.vital)
    lines = detail_lines(detail, width, height)
    wanted = detail_lines(Detail((), vital), width)[1:]
    assert all(len(text_of(line)) <= width for line in lines)
    why = any(one.label == "Why" for one in detail.texts) and height > 1 and bool(vital)
    if len(wanted) + why <= height:
        assert all(line in lines[:height] for line in wanted)
    elif len(detail_lines(detail, width)) > height:
        assert len(lines) == height
        assert text_of(lines[-1]).endswith("⏎ all")


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (1, ["Now   A ends it and"]),
        (2, ["Why   It has left a", "Now   A ends it and"]),
        (3, ["Why   It has left a", "Now   A ends it and", "Fix   Give each tes"]),
        (4, ["Why   It has left a", "Fix   Give each tes", "      own, and uniq", "Now   A ends it and"]),
        (5, ["test_a", "Why   It has left a", "Fix   Give each tes"]),
    ],
)
def test_what_is_wrong_has_a_line_before_what_to_do_and_before_the_title(
    height: int, expected: list[str]
) -> None:
    why = labelled("Why", "It has left a transaction open, and nobody will ever close it.")
    fix = labelled("Fix", "Give each test rows of its own, and unique data.", vital=True)
    now = labelled("Now", "A ends it and frees two", vital=True)
    lines = [text_of(one) for one in detail_lines(Detail((Toned("test_a"),), (why, fix, now)), 32, height)]
    assert [line[:19] for line in lines[: len(expected)]] == expected
    assert len(lines) == height
    assert all(len(line) <= 32 for line in lines)


@pytest.mark.parametrize("height", [1, 2])
def test_what_keys_do_now_comes_first_where_there_is_no_room_for_all(height: int) -> None:
    fix = labelled("Fix", "Give each test rows of its own, and unique data.", vital=True)
    now = labelled("Now", "A ends it and frees two", vital=True)
    lines = detail_lines(Detail((Toned("test_a"),), (fix, now)), 32, height)
    begins = [text_of(line)[:19] for line in lines]
    assert begins == ["Now   A ends it and", "Fix   Give each tes"][:height]


def test_the_first_text_gives_way() -> None:
    why = labelled("Why", "one two three four five six seven eight nine ten eleven twelve")
    fix = labelled("Fix", "Do it.", vital=True)
    shown = [text_of(line) for line in detail_lines(Detail((Toned("test_a"),), (why, fix)), 30, 4)]
    assert shown == [
        "test_a",
        "Why   one two three four five",
        "      six seven eight…  ⏎ all",
        "Fix   Do it.",
    ]
    assert len(detail_lines(Detail((Toned("test_a"),), (why, fix)), 30, 5)) == 5


def test_a_statement_for_copying_stays_on_one_line() -> None:
    text = Labelled("Now", ((Toned("End its session (SELECT pg_terminate_backend(15611)): now."),),))
    shown = [text_of(line) for line in detail_lines(Detail((), (text,)), 46)]
    assert any("(SELECT pg_terminate_backend(15611)):" in line for line in shown)


def test_further_lines_of_a_fact_are_below_its_words() -> None:
    lines = [text_of(line) for line in hung("query    UPDATE bookings SET seat = 4", 24, 9)]
    assert lines == ["query    UPDATE bookings", "         SET seat = 4"]
    assert [text_of(line) for line in hung("query    UPDATE", 24, 9)] == ["query    UPDATE"]


def test_a_title_without_room_says_that_it_goes_on() -> None:
    detail = Detail((Toned("test_a blocks test_b in shop"),), (labelled("Fix", "Commit.", vital=True),))
    lines = [text_of(line) for line in detail_lines(detail, 20, 2)]
    assert lines == ["test_a blocks test_…", "Fix   Commit."]


def test_where_a_title_has_no_room_the_short_one_stands_for_it() -> None:
    title, short = (
        (Toned("test_a  tests/test_a.py::test_a · pid 1 · shop"),),
        (Toned("test_a · pid 1 · shop"),),
    )
    detail = Detail(title, (labelled("Fix", "Commit.", vital=True),), short)
    assert [text_of(line) for line in detail_lines(detail, 24, 2)] == [
        "test_a · pid 1 · shop",
        "Fix   Commit.",
    ]
    assert len(detail_lines(detail, 24, 9)) > 2
    assert text_of(detail_lines(detail, 12, 2)[0]) == "test_a…"


def test_a_long_name_stays_beside_its_figure() -> None:
    name = "public.audit_log_of_everything_that_ever_happened"
    detail = Detail((Toned("t"),), (Labelled("In", ((Toned(f"        2  {name}, of about 2"),),)),))
    drawn = [text_of(line) for line in detail_lines(detail, 68)][1:]
    assert drawn == [f"In            2  {name},", f"{' ' * 17}of about 2"]
