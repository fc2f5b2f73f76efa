"""The page of a dashboard and its files: ours, and the terminal (xterm.js) and fonts of textual-serve.

textual-serve's own page loads a font from Google, and opens no new connection when one is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

_OURS = Path(__file__).parent / "page"
_FONTS = ("RobotoMono-VariableFont_wght.ttf", "RobotoMono-Italic-VariableFont_wght.ttf")


def page(title: str) -> str:
    """The HTML of the page, which asks for nothing that isn't below its own address."""
    return (_OURS / "index.html").read_text(encoding="utf-8").replace("@@TITLE@@", escape(title))


def static_files() -> Mapping[str, Path]:
    """Files by their name below the page's address."""
    terminal = Path(str(files("textual_serve"))) / "static"
    ours = {name: _OURS / name for name in ("page.css", "page.js")}
    fonts = {name: terminal / "fonts" / name for name in _FONTS}
    return {
        **ours,
        **fonts,
        "textual.js": terminal / "js" / "textual.js",
        "xterm.css": terminal / "css" / "xterm.css",
    }
