"""SQL that takes the strings out of a value which holds several, whatever they are nested in."""

from __future__ import annotations

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.forms import Elements, Form, Leaf

# JSON without the two escapes that make it hard to cut: what `"` is left then delimits a string.
_UNESCAPED = rb"""replace(replace(%b, E'\\\\', E'\\u005c'), E'\\"', E'\\u0022')"""
# Between the delimiters lies, by turns, what is no string and what is one. Whatever isn't escaped is
# there as it is; the server decodes the rest, but for what no text can hold (NUL, half a surrogate
# pair; json lets them pass): a control character stands for it.
_STRINGS_OF_JSON = rb"""
SELECT CASE WHEN strpos(piece, E'\\') = 0 THEN piece ELSE (concat('"', CASE
    WHEN piece !~* E'\\\\u(0000|d[89a-f])' THEN piece
    ELSE regexp_replace(regexp_replace(replace(piece, E'\\u0000', E'\\u001a'),
        E'\\\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\\\u[dD][c-fC-F])', E'\\\\u001a', 'g'),
        E'(?<!\\\\u[dD][89abAB][0-9a-fA-F]{2})\\\\u[dD][c-fC-F][0-9a-fA-F]{2}', E'\\\\u001a', 'g')
    END, '"')::json #>> '{}') END AS v
FROM unnest(string_to_array(%b, '"')) WITH ORDINALITY AS cut(piece, number)
WHERE number %% 2 = 0 OFFSET 0""".replace(b"\n    ", b" ").strip()


def text(value: bytes) -> bytes:
    """A string as text: the trailing blanks of char(n) go, citext and domains become plain strings."""
    return value + b"::pg_catalog.text"


def printed(value: bytes) -> bytes:
    """What a value of any type looks like. A cast to text might be somebody's own function."""
    return b"concat(" + value + b")"


def strings(value: bytes, form: Form, escaping: Escaping, depth: int = 0) -> bytes:
    """A query whose column `v` has all strings that a value of some form holds."""
    if isinstance(form, Leaf):
        if form.kind in ("json", "jsonb"):
            return _STRINGS_OF_JSON % (_UNESCAPED % printed(value))
        if form.kind == "hstore":
            home = bytes(escaping.escape_identifier(form.home.encode("utf-8", errors="surrogateescape")))
            return b"SELECT unnest(%b.hstore_to_array(%b)) AS v" % (home, value)
        return b"SELECT %b AS v" % text(value)
    if isinstance(form, Elements):
        element = b"e%d" % depth
        # In the select list: in FROM, an array of composites would become their columns.
        return b"SELECT v FROM (SELECT unnest(%b) AS %b OFFSET 0) AS a%d CROSS JOIN LATERAL (%b) AS s%d" % (
            value,
            element,
            depth,
            strings(element, form.of, escaping, depth + 1),
            depth,
        )
    parts = []
    for step, name, part in form.of:
        if step == "field":
            assert name is not None
            field = escaping.escape_identifier(name.encode("utf-8", errors="surrogateescape"))
            inside = b"(%b).%b" % (value, bytes(field))
        else:
            inside = b"%b(%b)" % (step.encode(), value)
        parts.append(b"(%b)" % strings(inside, part, escaping, depth + 1))
    return b" UNION ALL ".join(parts)
