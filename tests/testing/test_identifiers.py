"""Unique values: they bear the markers, name their test and run, and nobody has the same."""

from __future__ import annotations

import random
import re
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.value_tokens import RUN_TOKEN, RUN_VARIABLE, parse
from pgwatch_tests.settings.load import DEFAULT_MARKERS
from pgwatch_tests.testing import run_id, token, unique_email, unique_id
from pgwatch_tests.testing.current_test import Owner, running
from pgwatch_tests.testing.identifiers import entered_run
from tests.examples import examples

TEST = "tests/test_booking.py::test_books[ä]"
ID_MARKER = re.compile(DEFAULT_MARKERS[1].pattern)


def parts(value: str) -> tuple[str | None, str | None]:
    """The hash of the test and the id of the run that a value carries."""
    match = re.search(RUN_TOKEN, value)
    assert match is not None, value
    read = parse(match[1])
    assert read is not None
    return read.test, read.run


def test_values_name_their_test_and_run() -> None:
    with running(Owner("test", TEST)):
        values = unique_email("parent"), unique_id("clerk")
    for value in values:
        assert parts(value) == (token(TEST)[1:], run_id())


def test_outside_of_a_test_they_name_the_run() -> None:
    with running(Owner("fixture", "fixture users")):
        assert parts(unique_email("parent")) == (None, run_id())
        assert parts(unique_id("clerk")) == (None, run_id())


def test_the_domain_is_the_one_asked_for() -> None:
    assert unique_email("a", "example.org").endswith("@example.org")


@pytest.mark.parametrize("domain", ["", "a b", "a@b", ".a", "a..b", "a.", "-a.b", "a\n"])
def test_a_domain_that_is_none(domain: str) -> None:
    with pytest.raises(ValueError, match="the domain of an email address"):
        unique_email("a", domain)


def test_an_address_is_as_short_as_validators_ask_for() -> None:
    with running(Owner("test", TEST)):
        locals_ = [unique_email("a" * length).partition("@")[0] for length in range(1, 41)]
    assert [len(one) for one in locals_[16:21]] == [64] * 5
    assert all(len(one.rpartition("-")[2]) == 12 for one in locals_[:17])
    assert all(len(one.rpartition("-")[2]) == 8 for one in locals_[20:])


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}(_[A-Za-z0-9-]{1,9}){0,3}", fullmatch=True))
def test_an_id_bears_the_marker(prefix: str) -> None:
    with running(Owner("test", TEST)):
        assert ID_MARKER.fullmatch(unique_id(prefix))
    assert ID_MARKER.fullmatch(unique_id(prefix))


@pytest.mark.parametrize("prefix", ["", "a b", "a@b", "-a", "a%", "ä", "a..b", "a" * 41, "a\n"])
def test_a_prefix_that_no_address_begins_with(prefix: str) -> None:
    with pytest.raises(ValueError, match="the prefix of an email address is 1 to 40"):
        unique_email(prefix)


@pytest.mark.parametrize("prefix", ["", "1a", "a__b", "a.b", "_a", "a_", "a" * 41, "a\n"])
def test_a_prefix_that_the_marker_does_not_match(prefix: str) -> None:
    with pytest.raises(ValueError, match="the prefix of an id is 1 to 40"):
        unique_id(prefix)


def test_they_are_unique_whatever_is_seeded() -> None:
    def make(_: int) -> tuple[str, str]:
        random.seed(4)
        return unique_email("a"), unique_id("a")

    with ThreadPoolExecutor(8) as pool:
        made = [value for pair in pool.map(make, range(examples(2_000))) for value in pair]
    assert len(set(made)) == len(made)


def test_the_run_is_that_of_the_environment(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = [python, "-c", "from pgwatch_tests.testing import run_id; print(run_id(), run_id())"]
    monkeypatch.setenv(RUN_VARIABLE, "5E6F7A8B")
    assert subprocess.check_output(ask, text=True).split() == ["5e6f7a8b", "5e6f7a8b"]
    monkeypatch.delenv(RUN_VARIABLE)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    one, two = (subprocess.check_output(ask, text=True).split() for _ in range(2))
    assert one[0] == one[1] != two[0] == two[1]


@pytest.mark.parametrize("given", ["x", "5e6f7a8", "5e6f7a8b0", "5e6f7a8g"])
def test_a_run_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, given)
    with pytest.raises(ConfigurationError, match="PGWATCH_RUN must be 8 hex digits"), entered_run(None):
        pass


def test_the_run_that_was_entered_last_is_that_of_values() -> None:
    before = run_id()
    outer, inner = secrets.token_hex(4), secrets.token_hex(4)
    with entered_run(outer), entered_run(inner):
        assert run_id() == inner
        assert parts(unique_id("a"))[1] == inner
    assert run_id() == before
