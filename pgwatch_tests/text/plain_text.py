"""Plain text: other people's text made harmless, without line breaks, escapes or invisible characters."""

from __future__ import annotations

import unicodedata

# Cc, Cf, Cs, Co, Cn: controls, format characters (bidi overrides), surrogates, unassigned;
# Zl and Zp break lines.
_SHOWN_AS_CODE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def plain(text: str, limit: int | None = None) -> str:
    """`text` on one line, each control character shown (`␛`, `␊`, `\\u202e`).

    With `limit`, at most that many characters, an ellipsis at the end saying that there is more.
    """
    if limit is not None and len(text) > limit:
        return plain(text[: max(0, limit - 1)]) + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _SHOWN_AS_CODE:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def one_line(query: str) -> str:
    """Returns a query with its white space folded, as `plain` text: for a table's cell."""
    return plain(" ".join(query.split()))


def plain_lines(text: str) -> list[str]:
    """`text` as lines of plain text, its own line breaks kept: for a pane that shows a whole query."""
    return [plain(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]


def shortened_middle(text: str, width: int) -> str:
    """`text` in at most `width` characters, cut in its middle: `row of instru…les (id=2)`."""
    if len(text) <= width:
        return text
    tail = max(0, width - 1) // 2
    return text[: max(0, width - 1 - tail)] + "…"[:width] + text[len(text) - tail :]


def shortened_names(text: str, width: int) -> str:
    """`text`, names with commas between, in at most `width` characters: `test_a, test_b +1`.

    Whole names go, the last ones first; only the first one is cut, where there is no room for it.
    """
    if len(text) <= width:
        return text
    names = text.split(", ")
    for kept in range(len(names) - 1, 0, -1):
        short = f"{', '.join(names[:kept])} +{len(names) - kept}"
        if len(short) <= width:
            return short
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return shortened_middle(names[0], width - len(more)) + more if width > len(more) else "…"[:width]


def shortened_test(text: str, width: int) -> str:
    """A test's own name cut in its middle, as either end tells it from others; its path at the beginning."""
    return (shortened_left if "/" in text or "." in text else shortened_middle)(text, width)


def shortened_left(text: str, width: int) -> str:
    """`text` in at most `width` characters, cut at its beginning: a test's own name is at the end."""
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if width > 1 else "…"[:width]
