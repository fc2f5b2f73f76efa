"""Who is let in: names of this machine, this server's own pages, the link's token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.web.admission import TOKEN_VARIABLE, is_own_name, is_own_page, token, within

TOKEN = "Zm9vYmFyYmF6cXV4Zm9vYmFy"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8080", "127.0.0.1", "localhost:9", "LocalHost:9000", "[::1]:8080", "[::1]", "127.9.9.9:1"],
)
def test_own_names(host: str) -> None:
    assert is_own_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "localhost:8080:1",
        "localhost:",
        "localhost/",
        "0.0.0.0:8080",
        "10.0.0.7:8080",
        "[::]:8080",
        "::1",
        "2130706433",
        "0x7f.1",
    ],
)
def test_foreign_names(host: str) -> None:
    assert not is_own_name(host)


def test_own_pages_are_of_the_very_same_host_and_port() -> None:
    assert is_own_page("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert is_own_page("http://localhost", "LOCALHOST")
    for origin in (
        None,
        "",
        "null",
        "http://127.0.0.1:8081",
        "http://localhost:8080",
        "https://127.0.0.1:8080",
    ):
        assert not is_own_page(origin, "127.0.0.1:8080")


def test_what_is_below_the_link() -> None:
    assert within(f"/{TOKEN}/", TOKEN) == within(f"/{TOKEN}", TOKEN) == ""
    assert within(f"/{TOKEN}/download/1", TOKEN) == "download/1"
    for path in ("/", "", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", f"//{TOKEN}/", f"/page.js/{TOKEN}/", "/é/"):
        assert within(path, TOKEN) is None


@given(st.text())
def test_no_other_path_is(path: str) -> None:
    assert within(path, TOKEN) is None


def test_a_token_is_new_unless_it_is_given() -> None:
    assert token({}) != token({})
    assert len(token({TOKEN_VARIABLE: ""})) == 43
    assert token({TOKEN_VARIABLE: TOKEN}) == TOKEN
    for guessed in ("hunter2", "x" * 21, f"{TOKEN}/..", f"{TOKEN}?", f"{TOKEN}é", f"{TOKEN}\n"):
        with pytest.raises(ConfigurationError) as raised:
            token({TOKEN_VARIABLE: guessed})
        assert guessed not in str(raised.value)
