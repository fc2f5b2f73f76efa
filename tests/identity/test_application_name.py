from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.identity.application_name import compose, digest, parse

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)


@given(printable)
def test_what_was_composed_parses_and_fits(test: str) -> None:
    name = compose("pytest", "gw3", test)
    assert len(name.encode()) <= 63
    identity = parse(name)
    assert identity is not None
    assert (identity.runner, identity.worker) == ("pytest", "gw3")
    if identity.digest is None or not identity.test.startswith(".."):
        assert test.endswith(identity.test)
    else:
        assert identity.digest == digest(test)
        assert test.endswith(identity.test.removeprefix(".."))


def test_a_long_id_keeps_its_end_and_gets_a_digest() -> None:
    test = "tests/integration/booking/test_slots.py::TestSlots::test_two_parents_book_one_slot"
    name = compose("pytest", "gw12", test)
    assert name.endswith("::test_two_parents_book_one_slot")
    assert f"#{digest(test)} .." in name


def test_letters_that_the_server_would_replace_are_replaced_and_told_apart_by_the_digest() -> None:
    one, other = compose("pytest", "gw0", "t.py::test_ä"), compose("pytest", "gw0", "t.py::test_ö")
    assert one.isascii()
    assert one != other


def test_a_name_may_carry_only_a_hash() -> None:
    identity = parse("pytest:gw0 #1a2b3c4d")
    assert identity is not None
    assert (identity.test, identity.digest, identity.label) == ("#1a2b3c4d", "1a2b3c4d", "#1a2b3c4d")
    assert parse("pytest:gw0 ") is None
    assert parse("pytest:gw0 #1a2b3c4") is not None, "a test of that name"


@given(printable)
def test_a_label_has_the_hash_where_the_id_is_not_whole(test: str) -> None:
    identity = parse(compose("pytest", "gw3", test))
    assert identity is not None
    assert identity.label == (test if identity.test == test else f"{identity.test} #{digest(test)}")


def test_workers_of_other_runners_are_shown_with_their_runner() -> None:
    names = ("pytest:gw0 t", "pytest: t", "vitest:1 t", "playwright: t")
    assert [one.worker_label for one in map(parse, names) if one] == ["gw0", "", "vitest:1", "playwright"]


def test_other_runners_and_other_names() -> None:
    vitest = parse("vitest:3 booking.test.ts")
    assert vitest is not None
    assert (vitest.worker, vitest.test) == ("3", "booking.test.ts")
    for name in ("", "psql", "pgwatch-tests", "pytest", "http://x y", "pytest:gw0", "pytest:gw0 "):
        assert parse(name) is None


def test_letters_that_the_server_escapes_are_read_as_such() -> None:
    named = "pytest:gw0 tests/test_\\xc3\\xa4\\xe2\\x82\\xac.py::test_a"
    cut = parse(named.partition("\\x82")[0])

    found = parse(named)
    assert found is not None
    assert found.test == "tests/test_ä€.py::test_a"
    assert cut is not None
    assert cut.test == "tests/test_ä\\xe2"
