"""docs/faq.md: each error message comes about as its play says, and commands print then what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from screenshots import faq
from tests.docs.symptoms import SYMPTOMS, Symptom, comparable, performed
from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.stage import staged
from tests.servers.server_places import server_directory
from tests.servers.sessions import unique_name


@pytest.fixture
def cast(one: Symptom, server: EmbeddedServer, programs: ServerPrograms, template: Path) -> Iterator[Cast]:
    """A database on the worker's server, or on one with the symptom's own settings."""
    with ExitStack() as stack:
        if one.settings:
            own = EmbeddedServer(programs, server_directory(), dict(one.settings), template)
            server = stack.enter_context(own)
        yield stack.enter_context(staged(server, unique_name()))


@pytest.mark.parametrize("one", SYMPTOMS, ids=str)
def test_the_page_shows_what_happens(one: Symptom, cast: Cast, home: Path) -> None:
    message, output = performed(one, cast, home)

    assert re.search(".*".join(map(re.escape, one.message.split("…"))), message), message
    shown = faq.blocks().get(one.name, "")
    assert comparable(output, cast.database) == comparable(shown, faq.DATABASE)


def test_the_headings_are_the_messages() -> None:
    headings = re.findall(r"^## (.+)$", faq.PATH.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(one.message for one in SYMPTOMS)
    assert set(faq.blocks()) <= {one.name for one in SYMPTOMS}


def test_times_are_compared_whatever_their_units() -> None:
    old = [comparable(f"would be dropped, {age} old", "x_test") for age in ("911 d 23 h", "912 d", "0.2 s")]
    assert len(set(old)) == 1
    assert comparable("blocks 2 tests", "x_test") != comparable("blocks 2 test", "x_test")
