"""The kit for pytest in a fresh repository: in parallel, named, with leaks put down to tests."""

from __future__ import annotations

import sys

from tests.kits.node_kit import attribution
from tests.kits.repositories import Place, expect

_TESTS = """
import psycopg
import pytest

from pgwatch_tests.testing import unique_email


@pytest.mark.parametrize("number", range(4))
def test_leaves_a_row(pgwatch_dsn, number, request):
    with psycopg.connect(pgwatch_dsn) as connection:
        email = unique_email("left") if number % 2 else f"left.{number}@test.example.com"
        connection.execute("INSERT INTO users (email) VALUES (%s)", [email])
        [name] = connection.execute("SHOW application_name").fetchone()
        assert name.startswith("pytest:gw")
        assert name.endswith(f"test_leaves_a_row[{number}]")
"""
_INI = "[pytest]\npgwatch = warn\n"


def run(place: Place) -> None:
    """Raises KitError at the first thing that isn't so."""
    place.write("pytest.ini", _INI)
    place.write("tests/test_leaks.py", _TESTS)
    place.pgwatch("init", "pytest")
    place.pgwatch("init", "pytest", "--check")
    url = place.server.make_database(place.database)
    logs = place.root / "logs"
    output = place.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--pgwatch-log", str(logs)],
    )
    expect("8 passed" in output, "all tests pass", output)
    found = attribution(place.document("leaks", "--dsn", url, "--transactions", str(logs)))
    wanted = {
        f"tests/test_leaks.py::test_leaves_a_row[{number}]": "marker" if number % 2 else "transaction"
        for number in range(4)
    }
    expect(found == wanted, "each row is put down to its test", found)
