"""Bad: a transaction that stays open, with all its locks."""

from __future__ import annotations

from collections.abc import Callable

from booking.models import Notice
from sqlalchemy import Connection, Engine, insert

KEPT: list[Connection] = []


def test_a_notice_is_written(engine: Engine, unique_email: Callable[[str], str]) -> None:
    connection = engine.connect()
    KEPT.append(connection)
    statement = insert(Notice).values(recipient=unique_email("parent"), text="Hello").returning(Notice.id)
    assert connection.execute(statement).scalar_one()
