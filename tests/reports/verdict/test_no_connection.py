"""What is said where there is no connection."""

from __future__ import annotations

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.reports.verdict.no_connection import no_connection, what_to_check
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.text.toned_text import text_of
from tests.servers.sessions import MakeRole


def refused(text: str) -> str:
    """The reason that an attempt to connect fails with."""
    with pytest.raises(CannotConnectError) as caught:
        connect(Dsn(text, "--dsn"), SessionLimits(1.0, 1.0), connect_timeout_s=5.0)
    return str(caught.value)


def test_each_refusal_says_what_to_check(server: EmbeddedServer, make_role: MakeRole) -> None:
    assert "is the server started" in what_to_check(refused("postgresql://localhost:1/none"))
    assert "the database's name" in what_to_check(refused(server.dsn("none")))
    assert "user and password" in what_to_check(refused(server.dsn(user="nobody at all")))
    assert not what_to_check(refused(server.dsn(user=make_role("CONNECTION LIMIT 0"))))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ('password authentication failed for user "app"', "user and password"),
        ('no pg_hba.conf entry for host "10.0.0.7"', "user and password"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "the host's name"),
        ("the database system is starting up", "lets us in once that is over"),
        ("SSL error: certificate verify failed", "sslmode"),
        ("no answer within 5 s", "firewall"),
        ("база данных не существует", "PGSERVICE"),
    ],
)
def test_other_reasons(reason: str, words: str) -> None:
    assert words in what_to_check(reason)


def test_the_countdown() -> None:
    said = [text_of(no_connection("gone\x1b", left_s)).splitlines()[0] for left_s in (4.2, 0.0, None)]
    assert said == [
        "Not connected. Trying again in 5 s.",
        "Not connected. Trying again …",
        "Not connected. Paused: no further attempt until polling is resumed.",
    ]
    assert "\x1b" not in text_of(no_connection("gone\x1b", 1.0))
