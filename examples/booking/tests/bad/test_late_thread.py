"""Bad: a thread that writes when its test is over."""

from __future__ import annotations

from collections.abc import Callable

from booking.models import Notice
from sqlalchemy import Engine, insert

from tests.outbox import Outbox


def test_a_message_is_put_into_the_outbox(
    engine: Engine, outbox: Outbox, unique_email: Callable[[str], str]
) -> None:
    recipient = unique_email("parent")

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(insert(Notice).values(recipient=recipient, text="Hello"))

    outbox.put(write)
