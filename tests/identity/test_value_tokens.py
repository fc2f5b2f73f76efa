"""What a value tells of when, for which test and in which run it was made."""

from __future__ import annotations

import re

import psycopg
import pytest

from pgwatch_tests.identity.value_tokens import RUN_TOKEN, TOKEN, ValueToken, parse, token
from pgwatch_tests.settings.load import DEFAULT_MARKERS
from tests.servers.sessions import Database

MS, TEST, RUN = 1717171717171, "1a2b3c4d", "5e6f7a8b"
VALUES = [
    ("user-1717171717171-t1a2b3c4d-r5e6f7a8b-x7f3@test.example.com", ValueToken(MS, TEST, RUN)),
    ("USER-1717171717171-T1A2B3C4D-R5E6F7A8B-X7F3@TEST.EXAMPLE.COM", ValueToken(MS, TEST, RUN)),
    ("booking_1717171717171_t1a2b3c4d_r5e6f7a8b_x7f3", ValueToken(MS, TEST, RUN)),
    ("booking_1717171717171_r5e6f7a8b_x7f3", ValueToken(MS, None, RUN)),
    ("booking_1717171717171_t1a2b3c4d_x7f3", ValueToken(MS, TEST, None)),
    ("booking_1717171717171_x7f3", ValueToken(MS, None, None)),
    # Neither what is longer, nor random hex, nor what comes later.
    ("booking_1717171717171_r5e6f7a8bc_x7f3", ValueToken(MS, None, None)),
    ("booking_1717171717171_t1a2b3c4d_r5e6f7a8bc", ValueToken(MS, TEST, None)),
    ("booking_1717171717171_5e6f7a8b_x7f3", ValueToken(MS, None, None)),
    ("booking_1717171717171_x7f3_r5e6f7a8b", ValueToken(MS, None, None)),
]


@pytest.mark.parametrize(("value", "token"), VALUES)
def test_what_a_value_tells(value: str, token: ValueToken) -> None:
    (found,) = (parse(match[1]) for match in re.finditer(RUN_TOKEN, value, re.IGNORECASE))
    (without_run,) = (parse(match[1]) for match in re.finditer(TOKEN, value, re.IGNORECASE))

    assert found == token
    assert without_run == ValueToken(token.milliseconds, token.test, None)


def test_the_server_reads_it_the_same_way(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for value, token in VALUES:
            query = "SELECT (regexp_match(%s, %s, 'i'))[1]"
            (found,) = connection.execute(query, [value, RUN_TOKEN]).fetchall()
            assert parse(found[0]) == token


@pytest.mark.parametrize(
    "text", ["", "17171717171711", "1717171717171-x", "1717171717171-r5e6f7a8b-t1a2b3c4d"]
)
def test_nothing_else_is_a_token(text: str) -> None:
    assert parse(text) is None


def test_values_with_a_run_bear_the_default_markers() -> None:
    (expression,) = [one.pattern for one in DEFAULT_MARKERS if one.regex]

    assert re.fullmatch(expression, "booking_1717171717171_t1a2b3c4d_r5e6f7a8b_x7f3")


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("user-1717171717171-t1a2b3c4d-x7f3@test.example.com", ["1717171717171-t1a2b3c4d"]),
        ("USER-1717171717171-T1A2B3C4D-X7F3@TEST.EXAMPLE.COM", ["1717171717171-T1A2B3C4D"]),
        ("booking_1717171717171_t1a2b3c4d_x7f3", ["1717171717171_t1a2b3c4d"]),
        ("user_1717171717171_t1a2b3c4d", ["1717171717171_t1a2b3c4d"]),
        # What says which run it was doesn't hide which test it was.
        ("user-1717171717171-t1a2b3c4d-r5e6f7a8b-x@test.example.com", ["1717171717171-t1a2b3c4d"]),
        ("user-1717171717171-r5e6f7a8b-x@test.example.com", ["1717171717171"]),
        # Random hex and UUIDs aren't hashes, nor is what goes on.
        ("child_1717171717171_258bc658", ["1717171717171"]),
        ("user_1717171717171_550e8400-e29b-41d4-a716-446655440000", ["1717171717171"]),
        ("user_1717171717171_t1a2b3c4d5_x", ["1717171717171"]),
        ("user_1717171717171_t1a2b3c4_x", ["1717171717171"]),
        ("user_t1a2b3c4d_1717171717171_x", ["1717171717171"]),
        ("user_17171717171711_t1a2b3c4d_x", []),
        ("t1a2b3c4d@test.example.com", []),
    ],
)
def test_what_a_value_carries(value: str, tokens: list[str]) -> None:
    assert [match[1] for match in re.finditer(TOKEN, value, re.IGNORECASE)] == tokens


def test_marked_ids_are_ids_of_the_default_markers() -> None:
    (expression,) = [one.pattern for one in DEFAULT_MARKERS if one.regex]

    assert re.fullmatch(expression, f"booking_1717171717171_{token('a')}_x7f3")
