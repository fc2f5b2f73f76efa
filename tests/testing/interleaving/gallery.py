"""Twelve bugs that applications have when two of their calls meet, each with a form that hasn't.

An actor is a generator: it yields statements and gets their rows, all of them in one transaction, so that the
same one runs on a synchronous and on an asynchronous connection. `%(w)s` is the world: a number of its own.
"""

# ruff: noqa: S608 (what is put together here is all from this file)

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import psycopg

Rows = list[tuple[object, ...]]
Statements = Generator[str, Rows, object]
Actor = Callable[[], Statements]

TABLES = """
CREATE TABLE parent (w int PRIMARY KEY, n int DEFAULT 0, version int DEFAULT 0, status text DEFAULT 'open');
CREATE TABLE item (w int, k int, who text);
CREATE TABLE unique_item (w int, k int, who text, PRIMARY KEY (w, k));
CREATE TABLE member (w int, k int, n int, is_on bool DEFAULT true, who text, PRIMARY KEY (w, k));
"""
SETUP = (
    "INSERT INTO parent (w) VALUES (%(w)s)",
    "INSERT INTO member (w, k, n) VALUES (%(w)s, 1, 100), (%(w)s, 2, 100)",
)
_LOCK = "SELECT FROM parent WHERE w = %(w)s FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, its mended form, and what holds if nobody meets it."""

    buggy: tuple[Actor, Actor]
    mended: tuple[Actor, Actor]
    holds: str
    """A query whose only value is true."""


def inserts_unless_found(found: str, insert: str, ahead: str = "") -> Actor:
    """Looks, and inserts if there is none."""

    def act() -> Statements:
        if ahead:
            yield ahead
        if (yield found) == [(0,)]:
            yield insert
            return True
        return False

    return act


def runs(*statements: str) -> Actor:
    """Runs statements, whatever they return."""

    def act() -> Statements:
        for statement in statements:  # noqa: UP028 (an iterator takes no answers)
            yield statement
        return True

    return act


def inserts_unless_taken(insert: str, then: str = "") -> Actor:
    """Inserts, and goes on only if that made a row."""

    def act() -> Statements:
        try:
            rows = yield insert
        except psycopg.errors.UniqueViolation:
            return False
        if rows and then:
            yield then
        return bool(rows)

    return act


def reads_then_writes(read: str, write: Callable[[int], str], is_fine: Callable[[int], bool] = bool) -> Actor:
    """Reads a number, and writes what follows from it."""

    def act() -> Statements:
        number = int(str((yield read)[0][0]))
        if not is_fine(number):
            return False
        yield write(number)
        return True

    return act


def takes_job(suffix: str, who: str) -> Actor:
    """Takes the first job that nobody has."""

    def act() -> Statements:
        rows = yield f"SELECT k FROM member WHERE w = %(w)s AND who IS NULL ORDER BY k LIMIT 1 {suffix}"
        if rows:
            yield f"UPDATE member SET who = coalesce(who, '') || '{who}' WHERE w = %(w)s AND k = {rows[0][0]}"
        return True

    return act


def leaves_shift(k: int, suffix: str = "") -> Actor:
    """Goes off call if another one stays."""

    def act() -> Statements:
        rows = yield f"SELECT k FROM member WHERE w = %(w)s AND is_on ORDER BY k {suffix}"
        if len(rows) > 1:
            yield f"UPDATE member SET is_on = false WHERE w = %(w)s AND k = {k}"
        return len(rows) > 1

    return act


def changes_status(to: str) -> Actor:
    """Ships or cancels what is open."""

    def act() -> Statements:
        if (yield "SELECT status FROM parent WHERE w = %(w)s") == [("open",)]:
            yield f"UPDATE parent SET status = '{to}' WHERE w = %(w)s"
            yield f"INSERT INTO item (w, who) VALUES (%(w)s, '{to}')"
        return True

    return act


def twice(actor: Actor) -> tuple[Actor, Actor]:
    """Two calls of the same."""
    return actor, actor


_COUNT_ITEMS = "SELECT count(*) FROM item WHERE w = %(w)s AND k = 7"
_INSERT_ITEM = "INSERT INTO item (w, k) VALUES (%(w)s, 7)"
_ONE_ITEM = "SELECT count(*) <= 1 FROM item WHERE w = %(w)s"
_INSERT_UNIQUE = "INSERT INTO unique_item (w, k) VALUES (%(w)s, 7)"
_PAY = "UPDATE member SET n = n - 80 WHERE w = %(w)s AND k = 1"
_CHARGE = "UPDATE parent SET n = n + 1 WHERE w = %(w)s"

BUGS = {
    "double booking": Bug(
        twice(inserts_unless_found(_COUNT_ITEMS, _INSERT_ITEM)),
        twice(inserts_unless_taken(_INSERT_UNIQUE + " RETURNING k")),
        _ONE_ITEM,
    ),
    "lost update": Bug(
        twice(
            reads_then_writes(
                "SELECT n FROM parent WHERE w = %(w)s",
                lambda n: f"UPDATE parent SET n = {n + 1} WHERE w = %(w)s",
                lambda _: True,
            )
        ),
        twice(
            reads_then_writes(
                "SELECT n FROM parent WHERE w = %(w)s FOR UPDATE",
                lambda n: f"UPDATE parent SET n = {n + 1} WHERE w = %(w)s",
                lambda _: True,
            )
        ),
        "SELECT n = 2 FROM parent WHERE w = %(w)s",
    ),
    "transfer between accounts": Bug(
        twice(
            reads_then_writes(
                "SELECT n FROM member WHERE w = %(w)s AND k = 1", lambda _: _PAY, lambda n: n >= 80
            )
        ),
        twice(runs(_PAY + " AND n >= 80")),
        "SELECT min(n) >= 0 FROM member WHERE w = %(w)s",
    ),
    "coupon used twice": Bug(
        twice(
            reads_then_writes(
                "SELECT version FROM parent WHERE w = %(w)s",
                lambda _: "UPDATE parent SET version = 1, n = n + 10 WHERE w = %(w)s",
                lambda used: used == 0,
            )
        ),
        twice(runs("UPDATE parent SET version = 1, n = n + 10 WHERE w = %(w)s AND version = 0")),
        "SELECT n = 10 FROM parent WHERE w = %(w)s",
    ),
    "number by max() + 1": Bug(
        twice(
            reads_then_writes(
                "SELECT coalesce(max(k), 0) + 1 FROM item WHERE w = %(w)s",
                lambda k: f"INSERT INTO item (w, k) VALUES (%(w)s, {k})",
            )
        ),
        twice(runs(_LOCK, "INSERT INTO item SELECT %(w)s, count(*) + 1 FROM item WHERE w = %(w)s")),
        "SELECT count(DISTINCT k) = 2 FROM item WHERE w = %(w)s",
    ),
    "get or create": Bug(
        twice(inserts_unless_found(_COUNT_ITEMS, _INSERT_ITEM)),
        twice(runs(_INSERT_UNIQUE + " ON CONFLICT DO NOTHING", "SELECT k FROM unique_item WHERE w = %(w)s")),
        _ONE_ITEM,
    ),
    "upsert by hand": Bug(
        twice(
            inserts_unless_found(
                "WITH done AS (UPDATE item SET who = 'x' WHERE w = %(w)s RETURNING 1)"
                " SELECT count(*) FROM done",
                _INSERT_ITEM,
            )
        ),
        twice(runs(_INSERT_UNIQUE + " ON CONFLICT (w, k) DO UPDATE SET who = 'x'")),
        _ONE_ITEM,
    ),
    "queue without SKIP LOCKED": Bug(
        (takes_job("", "a"), takes_job("", "b")),
        (takes_job("FOR UPDATE SKIP LOCKED", "a"), takes_job("FOR UPDATE SKIP LOCKED", "b")),
        "SELECT count(who) = 2 FROM member WHERE w = %(w)s",
    ),
    "counter cache": Bug(
        twice(
            runs(
                _INSERT_ITEM,
                "UPDATE parent SET n = (SELECT count(*) FROM item WHERE w = %(w)s) WHERE w = %(w)s",
            )
        ),
        twice(runs(_INSERT_ITEM, _CHARGE)),
        "SELECT n = (SELECT count(*) FROM item WHERE w = %(w)s) FROM parent WHERE w = %(w)s",
    ),
    "write skew of doctors on call": Bug(
        (leaves_shift(1), leaves_shift(2)),
        (leaves_shift(1, "FOR UPDATE"), leaves_shift(2, "FOR UPDATE")),
        "SELECT bool_or(is_on) FROM member WHERE w = %(w)s",
    ),
    "idempotency key": Bug(
        twice(inserts_unless_found(_COUNT_ITEMS, f"WITH paid AS ({_CHARGE}) {_INSERT_ITEM}")),
        twice(inserts_unless_taken(_INSERT_UNIQUE + " ON CONFLICT DO NOTHING RETURNING k", _CHARGE)),
        "SELECT n = 1 FROM parent WHERE w = %(w)s",
    ),
    "state machine": Bug(
        (changes_status("shipped"), changes_status("cancelled")),
        (
            runs("UPDATE parent SET status = 'shipped' WHERE w = %(w)s AND status = 'open'"),
            runs("UPDATE parent SET status = 'cancelled' WHERE w = %(w)s AND status = 'open'"),
        ),
        _ONE_ITEM,
    ),
}
