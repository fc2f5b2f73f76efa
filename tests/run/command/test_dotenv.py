"""The connection string in a `.env` file, in the forms that dotenv libraries read."""

from __future__ import annotations

import pytest

from pgwatch_tests.run.command.dotenv import read_dsn


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DATABASE_URL=postgres://u@h/app_test", "postgres://u@h/app_test"),
        ("A=1\r\nexport DATABASE_URL = 'postgres://u:#p$@h/a' # why\r\nB=2", "postgres://u:#p$@h/a"),
        ('DATABASE_URL="postgres://u@h/a" # comment', "postgres://u@h/a"),
        ("DATABASE_URL=postgres://u:p#w@h/a # comment", "postgres://u:p#w@h/a"),
        ("H=db\nDATABASE_URL=postgres://u@${H}:${P:-5433}/${NAME}", "postgres://u@db:5433/app"),
        ("# DATABASE_URL=postgres://old/a\nDATABASE_URL: postgres://new/a", "postgres://new/a"),
        ("DATABASE_URL=postgres://first/a\nDATABASE_URL=postgres://last/a", "postgres://last/a"),
    ],
)
def test_a_connection_string_is_read(text: str, value: str) -> None:
    assert read_dsn(text, {"NAME": "app"}) == ("DATABASE_URL", value)


def test_our_own_variable_counts_first_and_an_empty_one_doesnt() -> None:
    assert read_dsn("DATABASE_URL=a\nPGWATCH_DSN=b", {}) == ("PGWATCH_DSN", "b")
    assert read_dsn("PGWATCH_DSN=\nDATABASE_URL=a", {}) == ("DATABASE_URL", "a")
    assert read_dsn("MY_DATABASE_URL=a\nDATABASE_URLS=b\njunk", {}) is None
