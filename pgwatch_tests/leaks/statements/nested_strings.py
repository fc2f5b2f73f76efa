"""SQL that takes the strings out of a value which holds several, whatever they are nested in.

Whoever owns a type says what a cast of it does, a database's owner may own types, and a column may have
another type than was seen when a statement was composed. So nothing here resolves a function, operator or
cast by such a type: values are read by their output functions, which only superusers make (CREATE TYPE), or
not at all if they aren't of the type that was seen.
"""

from __future__ import annotations

from pgwatch_tests.leaks.markers.value_forms import Elements, Form, Leaf, Parts, Step

# JSON without the two escapes that make it hard to cut: what `"` is left then delimits a string.
_UNESCAPED = rb"""pg_catalog.replace(pg_catalog.replace(%b, E'\\\\', E'\\u005c'), E'\\"', E'\\u0022')"""
# Between the delimiters lies, by turns, what is no string and what is one. Whatever isn't escaped is
# there as it is; the server decodes the rest, but for what no text can hold (NUL, half a surrogate
# pair; json lets them pass): a control character stands for it.
_STRINGS_OF_JSON = rb"""
SELECT CASE WHEN pg_catalog.strpos(piece, E'\\') OPERATOR(pg_catalog.=) 0 THEN piece
    ELSE (pg_catalog.concat('"', CASE WHEN piece OPERATOR(pg_catalog.!~*) E'\\\\u(0000|d[89a-f])' THEN piece
    ELSE pg_catalog.regexp_replace(pg_catalog.regexp_replace(
        pg_catalog.replace(piece, E'\\u0000', E'\\u001a'),
        E'\\\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\\\u[dD][c-fC-F])', E'\\\\u001a', 'g'),
        E'(?<!\\\\u[dD][89abAB][0-9a-fA-F]{2})\\\\u[dD][c-fC-F][0-9a-fA-F]{2}', E'\\\\u001a', 'g')
    END, '"')::pg_catalog.json OPERATOR(pg_catalog.#>>) '{}') END AS v
FROM pg_catalog.unnest(pg_catalog.string_to_array(%b, '"')) WITH ORDINALITY AS cut(piece, number)
WHERE number OPERATOR(pg_catalog.%%) 2 OPERATOR(pg_catalog.=) 0 OFFSET 0""".replace(b"\n    ", b" ").strip()
# hstore prints `"key"=>"value"`, with a backslash before each quote and backslash inside: a control character
# stands for that, and two for itself.
_UNESCAPED_HSTORE = rb"""pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(%b,
    E'\x1a', E'\x1a.'), E'\\\\', E'\x1a-'), E'\\"', E'\x1a+')""".replace(b"\n    ", b" ")
_STRINGS_OF_HSTORE = rb"""
SELECT CASE WHEN pg_catalog.strpos(piece, E'\x1a') OPERATOR(pg_catalog.=) 0 THEN piece
    ELSE pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(piece,
    E'\x1a+', '"'), E'\x1a-', E'\\'), E'\x1a.', E'\x1a') END AS v
FROM pg_catalog.unnest(pg_catalog.string_to_array(%b, '"')) WITH ORDINALITY AS cut(piece, number)
WHERE number OPERATOR(pg_catalog.%%) 2 OPERATOR(pg_catalog.=) 0 OFFSET 0""".replace(b"\n    ", b" ").strip()
_STRINGS_OF_LTREE = (
    b"SELECT label AS v FROM pg_catalog.unnest(pg_catalog.string_to_array(%b, '.')) AS cut(label) "
    b"UNION ALL SELECT %b"
)


def text(value: bytes) -> bytes:
    """A string as text: the trailing blanks of char(n) go, citext and domains become plain strings.

    Only with `only_strings` of the same value in the same statement.
    """
    return value + b"::pg_catalog.text"


def only_strings(value: bytes) -> bytes:
    """A condition that is true, and fails in a statement whose `value` isn't of a string type.

    It fails while the statement is parsed, before any cast in it is planned or run: only strings have a
    collation and aren't an array (anynonarray). Planned, nothing is left of it.
    """
    return b"(true OR pg_catalog.anytextcat(%b COLLATE pg_catalog.\"C\", '') IS NULL)" % value


def printed(value: bytes) -> bytes:
    """Returns SQL for the printed form of a value of any type; empty if it is NULL."""
    return b"pg_catalog.concat(" + value + b")"


def is_of(value: bytes, type_: int) -> bytes:
    """Whether a value has a type, by oid, when it is read."""
    return b"pg_catalog.pg_typeof(%b)::pg_catalog.oid OPERATOR(pg_catalog.=) %d::pg_catalog.oid" % (
        value,
        type_,
    )


def strings(value: bytes, form: Form, depth: int = 0) -> bytes:
    """A query whose column `v` has all strings that a value of some form holds."""
    if isinstance(form, Leaf):
        return _of_leaf(value, form)
    if isinstance(form, Elements):
        element = b"e%d" % depth
        # In the select list: in FROM, an array of composites would become their columns.
        return (
            b"SELECT v FROM (SELECT pg_catalog.unnest(%b) AS %b OFFSET 0) AS a%d "
            b"CROSS JOIN LATERAL (%b) AS s%d"
        ) % (value, element, depth, strings(element, form.of, depth + 1), depth)
    return b" UNION ALL ".join(
        b"(%b)" % _of_part(value, form, step, field, part, depth) for step, field, part in form.of
    )


def _of_part(value: bytes, whole: Parts, step: Step, field: int | None, part: Form, depth: int) -> bytes:
    if field is None:
        # By name alone, a composite that can be cast to text would have a lower() as well.
        bound = b"CASE WHEN %b THEN pg_catalog.%b(%b) END" % (is_of(value, whole.type), step.encode(), value)
        return strings(bound, part, depth + 1)
    # By place: where there is no field of its name any more, the name would be that of a function.
    names = [b"f%d_%d" % (depth, place) for place in range(1, field + 1)]
    return b"SELECT v FROM (SELECT (%b).*) AS c%d (%b) CROSS JOIN LATERAL (%b) AS s%d" % (
        value,
        depth,
        b", ".join(names),
        strings(names[-1], part, depth + 1),
        depth,
    )


def _of_leaf(value: bytes, leaf: Leaf) -> bytes:
    match leaf.kind:
        case "json" | "jsonb":
            return _STRINGS_OF_JSON % (_UNESCAPED % printed(value))
        case "hstore":
            return _STRINGS_OF_HSTORE % (_UNESCAPED_HSTORE % printed(value))
        case "ltree":
            return _STRINGS_OF_LTREE % (printed(value), printed(value))
        case "cast":
            return b"SELECT CASE WHEN %b THEN %b END AS v" % (is_of(value, leaf.type), text(value))
        case "string":
            return b"SELECT %b AS v WHERE %b" % (text(value), only_strings(value))
        case "unread":
            return b"SELECT NULL::pg_catalog.text AS v"
        case "output":
            return b"SELECT CASE WHEN %b IS NOT NULL THEN %b END AS v" % (value, printed(value))
