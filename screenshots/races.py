"""Records what `interleave` finds in the example of docs/races.md: its output there and in README."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
from cattrs.preconf.json import JsonConverter, make_converter

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing import Exploration, Outcome, interleave
from tests.docs.page import read_page
from tests.servers.server_places import server_directory

PAGE = Path(__file__).parent.parent / "docs" / "races.md"
RACES = Path(__file__).parent / "races.json"


def record() -> Exploration:
    """Explores the page's example on a server of its own."""
    with EmbeddedServer(find_programs(), server_directory()) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as owner:
            owner.execute("CREATE TABLE booking (slot int NOT NULL, who text)")
        names: dict[str, Any] = {}
        with patch.dict(os.environ, {"DATABASE_URL": server.dsn()}):
            exec(read_page(PAGE).files["booking.py"], names)

        def booking(who: str) -> Callable[[int], object]:
            return lambda slot: names["book"](slot, who)

        return interleave(booking("ada"), booking("mary"), setup=names["new_slot"])


def save(exploration: Exploration) -> None:
    """Writes it to its file. Raises OSError."""
    RACES.write_text(_converter().dumps(exploration, indent=1) + "\n", encoding="utf-8")


def load() -> Exploration:
    """Returns the one in the file."""
    return _converter().loads(RACES.read_text(encoding="utf-8"), Exploration)


def _converter() -> JsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook_func(_is_outcome, lambda outcome: outcome.value)
    converter.register_structure_hook_func(_is_outcome, lambda value, _: Outcome(value))
    return converter


def _is_outcome(of: object) -> bool:
    return getattr(of, "__origin__", of) is Outcome
