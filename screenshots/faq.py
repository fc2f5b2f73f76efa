"""Output blocks of docs/faq.md: what commands print while an error message comes about, on a real server."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from tests.docs.symptoms import SYMPTOMS, Symptom, performed
from tests.locks.scenarios.stage import staged
from tests.servers.server_places import server_directory

PATH = Path(__file__).parent.parent / "docs" / "faq.md"
DATABASE = "app_test"
_BLOCK = re.compile(
    r"(<!-- output: (?P<name>[\w-]+) -->\n```text\n)(?P<text>.*?)(```\n<!-- end -->)", re.DOTALL
)


def write() -> None:
    """Plays all of it and writes the page. Raises KeyError for a block of no symptom."""
    shown = {one.name: _output(one) for one in SYMPTOMS}
    page = PATH.read_text(encoding="utf-8")
    PATH.write_text(_BLOCK.sub(lambda match: f"{match[1]}{shown[match['name']]}\n{match[4]}", page))


def blocks() -> dict[str, str]:
    """What the page shows, by the symptom's name."""
    return {match["name"]: match["text"] for match in _BLOCK.finditer(PATH.read_text(encoding="utf-8"))}


def _output(one: Symptom) -> str:
    with (
        EmbeddedServer(find_programs(), server_directory(), dict(one.settings)) as server,
        staged(server, DATABASE) as cast,
        tempfile.TemporaryDirectory() as home,
    ):
        # No settings of a directory above it.
        (Path(home) / "pyproject.toml").touch()
        return performed(one, cast, Path(home))[1]
