"""The connection string in a `.env` file: as the command's own dotenv library is going to read it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLES = ("PGWATCH_DSN", "DATABASE_URL")
"""The variables that may hold it; the first one counts."""

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:=|:[ \t])[ \t]*
    (?: '(?P<literal>[^']*)' | "(?P<quoted>(?:\\.|[^"\\])*)" | (?P<bare>[^\n]*?) )
    [ \t]*(?:(?<=[\s'"])\#[^\n]*)?$""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)
_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<default>[^}]*))?\}")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_dsn(text: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns the variable of a `.env` file that holds a connection string, and the string, if one does.

    `environ` is what `${NAME}` may refer to besides the file; it wins, as with dotenv libraries.
    """
    values: dict[str, str] = {}
    for match in _LINE.finditer(text.replace("\r\n", "\n")):
        if match["literal"] is not None:
            values[match["name"]] = match["literal"]
            continue
        value = match["bare"]
        if value is None:
            value = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), match["quoted"])
        known = {**values, **environ}
        values[match["name"]] = _REFERENCE.sub(
            lambda found, known=known: known.get(found["name"]) or found["default"] or "", value
        )
    return next(((name, values[name]) for name in VARIABLES if values.get(name)), None)
