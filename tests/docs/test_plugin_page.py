"""The output that docs/plugin.md shows is what its suite gives."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.page import read_page
from tests.docs.test_examples import DOCS, run_page
from tests.servers.sessions import Database


def test_the_output_is_that_of_the_page(python: str, database: Database, tmp_path: Path) -> None:
    path = DOCS / "plugin.md"
    shown = re.findall(r"```text\n(.*?)```", path.read_text(), re.DOTALL)
    _, _, output = run_page(python, read_page(path), database.dsn, tmp_path)
    assert len(shown) == 1
    assert shown[0] in output, output
