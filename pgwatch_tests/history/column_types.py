"""Types of the history's columns: moments, durations, lists and other people's text, for every store."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

Number = BigInteger().with_variant(Integer, "sqlite")
"""A number that counts up: SQLite does that only with an INTEGER."""

LARGEST_INTEGER = 2**31 - 1


def storable(text: str) -> str:
    """The text without NULs and halves of surrogate pairs, which no store takes: they are written out."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


class UtcTime(TypeDecorator[datetime]):
    """A moment; SQLite keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        if value is None:
            return None
        words = json.loads(value)
        if not isinstance(words, list):
            raise ValueError("no list")
        return tuple(map(str, words))


class AnyText(TypeDecorator[str]):
    """Other people's text, of which no store takes NULs and halves of surrogate pairs."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class ShortMilliseconds(TypeDecorator[float]):
    """A duration in seconds as whole milliseconds in four bytes: 24 days at most, longer ones count so."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> int | None:
        return None if value is None else min(round(value * 1000), LARGEST_INTEGER)

    def process_result_value(self, value: int | None, dialect: Dialect) -> float | None:
        return None if value is None else int(value) / 1000


class Milliseconds(TypeDecorator[float]):
    """A duration in seconds, kept as whole milliseconds: SQLite packs small integers."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> int | None:
        return None if value is None else round(value * 1000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> float | None:
        return None if value is None else int(value) / 1000
