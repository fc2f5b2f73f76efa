"""What authors of tests import: all in one place, and nothing loaded before it is used."""

from __future__ import annotations

import subprocess

import pytest

from pgwatch_tests import testing
from pgwatch_tests.identity.value_tokens import parse
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
from pgwatch_tests.testing.leases import lease

HEAVY = "{'textual', 'click', 'rich', 'sqlalchemy', 'psycopg'}"


def loaded(python: str, code: str) -> list[str]:
    """Which heavy packages some code has imported."""
    code = f"import sys\n{code}\nprint(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_every_name_is_there() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    assert testing.lease is lease
    assert testing.TransactionLog is TransactionLog


def test_a_token_is_read_again() -> None:
    assert testing.token("tests/a.py::test_b") == "t7fc144e0"
    found = parse(f"1717171717171-{testing.token('tests/a.py::test_b')}")
    assert found is not None
    assert f"t{found.test}" == testing.token("tests/a.py::test_b")


def test_an_unknown_name_is_an_error_as_of_any_module() -> None:
    name = "tokn"
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(testing, name)


def test_the_import_costs_nothing(python: str) -> None:
    assert loaded(python, "import pgwatch_tests.testing") == []
    assert loaded(python, "from pgwatch_tests.testing import TransactionLog, token") == []


def test_it_knows_neither_the_dashboard_nor_the_command_line(python: str) -> None:
    code = "from pgwatch_tests.testing import *\nimport pgwatch_tests.sweep.orphans.orphans"
    assert loaded(python, code) == ["psycopg", "sqlalchemy"]
