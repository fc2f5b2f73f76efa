"""One GRANT where all tables of a schema are meant."""

from __future__ import annotations

import pytest

from pgwatch_tests.postgres.grants import grant, grant_usage, whole_schemas


@pytest.mark.parametrize(
    ("meant", "lacking", "together"),
    [
        (2, 2, False),
        (3, 3, True),
        (3, 4, False),  # one that nobody asks for would be opened as well
        (10, 11, False),
        (11, 500, True),
    ],
)
def test_schemas_whose_tables_are_granted_together(meant: int, lacking: int, together: bool) -> None:
    found = whole_schemas(["a"] * meant + ["b"], ["a"] * lacking + ["b"])

    assert found == (frozenset("a") if together else frozenset())


def test_names_are_quoted() -> None:
    assert grant(["SELECT", "UPDATE"], 'a"b', None, "c d") == (
        'GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA "a""b" TO "c d"'
    )
    assert grant(["SELECT"], "a", "select", "d") == 'GRANT SELECT ON "a"."select" TO "d"'
    assert grant_usage("a b", "d") == 'GRANT USAGE ON SCHEMA "a b" TO "d"'
