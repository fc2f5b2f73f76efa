"""The reading of the built site finds what it is there for."""

from __future__ import annotations

import pytest

from tests.chromium import needs_chromium
from tests.docs.site import problems

pytestmark = needs_chromium
HEAD = '<!doctype html><meta name="viewport" content="width=device-width"><article>'


def test_what_is_wrong_with_a_page_is_told(python: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    site = tmp_path_factory.mktemp("site")
    (site / "wide.html").write_text(f'{HEAD}<p style="width: 500px">x</p></article>')
    (site / "asks.html").write_text(f'{HEAD}</article><img src="https://elsewhere.example/a.png">')
    (site / "fails.html").write_text(f"{HEAD}</article><script>throw Error('no')</script>")
    scrolls = '<div style="overflow-x: auto"><p style="width: 5000px">x</p></div>'
    cut = f'<p class="md-ellipsis" style="width: 50px; overflow: hidden">{"x" * 40}</p>'
    (site / "cuts.html").write_text(f'{HEAD}</article><nav class="md-nav">{cut}</nav>')
    (site / "fine.html").write_text(f"{HEAD}{scrolls}</article>")

    found = list(problems(site))

    assert [one[:24] for one in found if one.startswith("wide")] == ["wide at 390: sticks out,"]
    assert sum("asks for https://elsewhere.example/a.png" in one for one in found) == 2
    assert sum("a script fails" in one for one in found) == 2
    assert sum(f"cuts {'x' * 40}" in one for one in found) == 2
    assert {one.split()[0] for one in found} == {"wide", "asks", "fails", "cuts"}
