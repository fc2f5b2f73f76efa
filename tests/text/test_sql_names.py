from __future__ import annotations

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgwatch_tests.text.sql_names import identifier, literal
from tests.servers.sessions import Database

# What a name can be made of: no NUL, no surrogates, at most 63 bytes.
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(names, min_size=20, max_size=20))
def test_a_quoted_name_is_that_name_to_the_server(database: Database, some: list[str]) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for name in [*some, 'U&"\\', "\\\u202e", "\U000e0001\\", '"\n"']:
            assert identifier(name).isprintable()
            cursor = connection.execute(f"SELECT 1 AS {identifier(name)}".encode())
            assert cursor.description is not None
            assert cursor.description[0].name == name
            assert literal(name).isprintable()
            assert connection.execute(f"SELECT {literal(name)}".encode()).fetchone() == (name,)
