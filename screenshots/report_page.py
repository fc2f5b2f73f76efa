"""The report of a recorded run as a browser shows it: light on a screen, dark on a phone."""

from __future__ import annotations

import hashlib
import struct
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

from pgwatch_tests.reports.runs.page import document
from screenshots.pictures import FOLDER
from screenshots.shown_reports import FACTS, recorded
from tests.chromium import Browser, browser

PICTURES = ("report.png", "report-phone.png")
_MADE_OF = b"Source"  # the keyword that the PNG specification has for it
_END = b"\0\0\0\0IEND"
_FACTS = replace(
    FACTS,
    exit_code=1,
    command_exit_code=None,
    commit="3f2a91c0d7e45b6f8a9c1e2d3b4a5f60718293a4",
    branch="main",
    ci_url="https://ci.example.com/runs/4711",
)


def page() -> str:
    """The page on the recording that tests make, without a server."""
    return document.document(recorded(_FACTS))


def draw() -> dict[str, bytes]:
    """The pictures by file name, each with the digest of the page that it shows."""
    html = page()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "report.html"
        path.write_text(html, encoding="utf-8")
        with browser(Path(name)) as tab:
            tab.prefer("light")
            tab.size(1100, 1180)
            screen = _drawn(tab, path)
            tab.prefer("dark")
            tab.size(360, 1000, phone=True)
            phone = _drawn(tab, path)
    return {name: _with_digest(drawn, html) for name, drawn in zip(PICTURES, (screen, phone), strict=True)}


def _drawn(tab: Browser, path: Path) -> bytes:
    tab.open(path)
    picture = path.with_suffix(".png")
    tab.picture(picture)
    return picture.read_bytes()


def is_fresh(name: str, html: str) -> bool:
    """Whether that picture is one of this page."""
    return _chunk(html) in (FOLDER / name).read_bytes()


def _with_digest(picture: bytes, html: str) -> bytes:
    before, end, after = picture.rpartition(_END)
    return before + _chunk(html) + end + after


def _chunk(html: str) -> bytes:
    """A text chunk of PNG (specification, 11.3.4.3)."""
    content = b"tEXt" + _MADE_OF + b"\0" + hashlib.sha256(html.encode()).hexdigest().encode()
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
