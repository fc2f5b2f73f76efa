"""SQL as toned text: keywords, strings and comments told apart, what isn't printable made visible. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.sql_tokens import Token, tokens
from pgwatch_tests.text.toned_text import Tone, Toned

# Words that SQL:2023 and PostgreSQL (manual, SQL Key Words) use in statements; columns are rarely named so.
_WORDS = """
    ABORT ADD ALL ALTER ANALYZE AND ANY AS ASC BEGIN BETWEEN BY CALL CASCADE CASE CAST CHECK CLUSTER COLUMN
    COMMIT CONCURRENTLY CONFLICT CONSTRAINT COPY CREATE CROSS CURRENT DATABASE DECLARE DEFAULT DEFERRABLE
    DELETE DESC DISTINCT DO DROP ELSE END EXCEPT EXCLUSIVE EXECUTE EXISTS EXPLAIN FALSE FETCH FOR FOREIGN FROM
    FULL FUNCTION GRANT GROUP HAVING ILIKE IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY LATERAL LEFT
    LIKE LIMIT LISTEN LOCK LOCKED MATERIALIZED MERGE MODE NATURAL NO NOT NOTHING NOTIFY NOWAIT NULL OF OFFSET
    ON ONLY OR ORDER OUTER OVER PARTITION PREPARE PREPARED PRIMARY REFERENCES REFRESH REINDEX RELEASE RENAME
    RETURNING REVOKE RIGHT ROLLBACK SAVEPOINT SCHEMA SELECT SEQUENCE SET SHARE SKIP SOME START TABLE THEN TO
    TRANSACTION TRIGGER TRUE TRUNCATE TYPE UNION UNIQUE UPDATE USING VACUUM VALUES VIEW WHEN WHERE WINDOW WITH
"""
_KEYWORDS = frozenset(_WORDS.split())


def toned_sql(query: str) -> list[tuple[Toned, ...]]:
    """The lines of a statement, each in its parts; its own line breaks and indentation are kept."""
    lines: list[list[Toned]] = [[]]
    for text, tone in _pieces(query.replace("\r\n", "\n")):
        for number, part in enumerate(text.expandtabs(4).split("\n")):
            if number:
                lines.append([])
            if part:
                lines[-1].append(Toned(plain(part), tone))
    return [tuple(line) for line in lines]


def toned_sql_line(query: str) -> tuple[Toned, ...]:
    """A statement on one line, its white space folded."""
    parts: list[Toned] = []
    for text, tone in _pieces(query):
        folded = " ".join(text.split())
        before = " " if text[:1].isspace() and parts else ""
        after = " " if text[-1:].isspace() and folded else ""
        if folded or before:
            parts.append(Toned(plain(f"{before}{folded}{after}"), tone))
    if parts:
        parts[-1] = Toned(parts[-1].text.rstrip(), parts[-1].tone)
    return tuple(parts)


def _pieces(query: str) -> Iterator[tuple[str, Tone]]:
    """The tokens with what is between them."""
    at = 0
    for token in tokens(query):
        if token.start > at:
            yield query[at : token.start], ""
        yield token.text, _tone(token)
        at = token.end
    if at < len(query):
        yield query[at:], ""


def _tone(token: Token) -> Tone:
    if token.kind == "comment":
        return "quiet"
    if token.kind in ("literal", "number", "parameter"):
        return "literal"
    return "keyword" if token.keyword in _KEYWORDS else ""
