from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.postgres.connections.dsn import database_name, normalise, redact
from pgwatch_tests.settings.load import Dsn


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app:p%40ss@db.example:5433/test_app",
        "postgres://app:p%40ss@db.example:5433/test_app",
        "postgresql+psycopg://app:p%40ss@db.example:5433/test_app",
        "postgresql+asyncpg://app:p%40ss@db.example:5433/test_app",
        "host=db.example port=5433 user=app password=p@ss dbname=test_app",
    ],
)
def test_all_forms_mean_the_same(text: str) -> None:
    conninfo, ignored = normalise(Dsn(text, "--dsn"))
    assert conninfo_to_dict(conninfo) == {
        "host": "db.example",
        "port": "5433",
        "user": "app",
        "password": "p@ss",
        "dbname": "test_app",
    }
    assert ignored == []


def test_what_frameworks_add_is_left_out_and_named() -> None:
    url = "postgresql://h/d?schema=public&sslmode=require&pgbouncer=true"
    conninfo, ignored = normalise(Dsn(url, "DATABASE_URL"))
    assert conninfo_to_dict(conninfo) == {"host": "h", "dbname": "d", "sslmode": "require"}
    assert ignored == ["schema", "pgbouncer"]


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:hunter2@h/d",
        "sqlite:///hunter2",
        "postgresql://u:hunter2%zz@h/d",
        "nonsense hunter2",
        "password=hunter2 bogus=1",
        "postgresql://u:hunter2@h/d\0",
        "postgresql://u:half@hunter2@h/d",
        "postgresql://u:half/hunter2@h/d",
        "postgresql://u:half?hunter2@h/d",
        "postgresql://h/d?password=half&hunter2",
    ],
)
def test_a_wrong_string_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalise(Dsn(text, "DATABASE_URL"))
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://u:s3cret@h/d", "s3cret"),
        ("postgresql://u:s3c%40ret@h/d", "s3c@ret"),
        ("host=h password=s3cret", "s3cret"),
        ("postgresql://h/d?password=s3cret", "s3cret"),
    ],
)
def test_whatever_libpq_quotes_of_a_password_is_blotted_out(url: str, secret: str) -> None:
    message = f'could not translate host name "{secret}@h"\nto address'
    assert redact(message, Dsn(url, "--dsn")) == 'could not translate host name "***@h" to address'


@pytest.mark.parametrize(
    ("ssl", "sslmode"),
    [("require", "require"), ("true", "require"), ("disable", "disable"), ("false", "disable")],
)
def test_ssl_as_other_drivers_write_it(ssl: str, sslmode: str) -> None:
    conninfo, ignored = normalise(Dsn(f"postgresql+asyncpg://h/d?ssl={ssl}", "--dsn"))
    assert conninfo_to_dict(conninfo)["sslmode"] == sslmode
    assert ignored == []


def test_the_database_that_a_string_names() -> None:
    assert database_name(Dsn("postgresql://h/test_app", "--dsn")) == "test_app"
