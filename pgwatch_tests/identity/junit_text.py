"""Text of JUnit reports as clean UTF-8, chunk by chunk: of any encoding, without what XML forbids. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_BOM = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_DECLARED = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_PROBE = b"<?xml a='1'?>\\x41+AGE-~{"
"""ASCII that no codec of escapes, such as `utf-7`, leaves as it is."""
_ANY_BYTES = bytes(range(256)) + b"a" * 256 + b".."
_HEAD = 256
"""Bytes by which the encoding can be told."""

# All that XML 1.0 allows is the rest (Extensible Markup Language, 2.2 Characters).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_FORBIDDEN_IN_UTF8 = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
_REFERENCE = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_LONGEST_REFERENCE = 12
_REPLACEMENT = "\ufffd".encode()


class CleanText:
    """Turns a file's bytes into UTF-8 that has no character and no reference that XML forbids.

    The encoding is that of the byte order mark, else that of the XML declaration, else UTF-8. What isn't in
    that encoding, and what is forbidden, becomes U+FFFD.
    """

    def __init__(self) -> None:
        self.encoding = ""
        """Empty until it is known; `utf-8`, `utf-16-le` …"""
        self.replaced: set[int] = set()
        """The forbidden code points that were replaced."""
        self._decode: Callable[[bytes, bool], str] | None = None
        self._held = b""

    def feed(self, content: bytes, *, is_last: bool = False) -> bytes:
        """Returns the next clean bytes; some are held back until it is known how they go on."""
        data = self._held + content if self._held else content
        self._held = b""
        if not self.encoding:
            if len(data) < _HEAD and not is_last:
                self._held = data
                return b""
            data = self._begin(data)
        if self._decode is not None:
            # A surrogate that comes out of a decoder is replaced below, as all that isn't UTF-8.
            data = self._decode(data, is_last).encode("utf-8", "surrogatepass")
            return self._clean(data)
        if not is_last and (cut := _unfinished(data)):
            data, self._held = data[:-cut], data[-cut:]
        return self._clean(data)

    def _begin(self, data: bytes) -> bytes:
        for mark, encoding in _BOMS:
            if data.startswith(mark):
                return self._decoded_by(encoding, data[len(mark) :])
        for begin, encoding in _WITHOUT_BOM:
            if data.startswith(begin):
                return self._decoded_by(encoding, data)
        declared = _DECLARED.match(data)
        return self._decoded_by(_ascii_superset(declared[1].decode()) if declared else "utf-8", data)

    def _decoded_by(self, encoding: str, data: bytes) -> bytes:
        self.encoding = encoding
        if encoding != "utf-8":
            decoder = codecs.getincrementaldecoder(encoding)("replace")
            self._decode = lambda content, is_last: decoder.decode(content, is_last)
        return data

    def _clean(self, data: bytes) -> bytes:
        if not _is_allowed(data):
            text = data.decode("utf-8", "replace")
            data = _FORBIDDEN.sub(self._replacement, text).encode()
        return _REFERENCE.sub(self._allowed_reference, data) if b"&#" in data else data

    def _replacement(self, match: re.Match[str]) -> str:
        self.replaced.add(ord(match[0]))
        return "\ufffd"

    def _allowed_reference(self, match: re.Match[bytes]) -> bytes:
        code = int(match[1], 16) if match[1] else int(match[2])
        if code <= 0x10FFFF and not _FORBIDDEN.match(chr(code)):
            return match[0]
        self.replaced.add(code)
        return _REPLACEMENT


def _is_allowed(data: bytes) -> bool:
    if len(data.translate(None, _CONTROLS)) != len(data):
        return False
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(sequence in data for sequence in _FORBIDDEN_IN_UTF8)


def _unfinished(data: bytes) -> int:
    """How many bytes at the end begin a character or a reference whose rest is still to come."""
    begun = data.rfind(b"&", -_LONGEST_REFERENCE)
    if begun >= 0 and b";" not in data[begun:]:
        return len(data) - begun
    for place in range(1, min(4, len(data) + 1)):
        byte = data[-place]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return place if place < length else 0
    return 0


def _ascii_superset(declared: str) -> str:
    """The declared encoding, if a file in it can begin as the declaration was read: in ASCII.

    It has to bear any bytes, too, as the codec `idna` doesn't.
    """
    try:
        if _PROBE.decode(declared).encode("ascii") == _PROBE:
            codecs.getincrementaldecoder(declared)("replace").decode(_PROBE + _ANY_BYTES, final=True)
            return codecs.lookup(declared).name
    except (LookupError, ValueError):  # no such encoding, or none of text
        pass
    return "utf-8"
