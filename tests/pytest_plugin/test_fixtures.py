"""The plugin's fixtures, whether it is on or off."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(("mode", "workers"), [("off", "2"), ("warn", "0")])
def test_values_name_their_test_and_the_run(mode: str, workers: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pgwatch_tests import testing

        @pytest.mark.parametrize("letter", "ab")
        def test_it(letter, request, unique_email, unique_id, run_id, pgwatch_run):
            assert run_id == pgwatch_run == "5e6f7a8b"
            for value in (unique_email("parent"), unique_id("clerk"), testing.unique_id("room")):
                assert f"{testing.token(request.node.nodeid)}" in value, value
                assert "r5e6f7a8b" in value
        """
    )
    pytester._monkeypatch.setenv("PGWATCH_RUN", "5e6f7a8b")
    pytester.runpytest_subprocess("-n", workers, f"--pgwatch={mode}").assert_outcomes(passed=2)


def test_workers_share_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pathlib
        import pytest
        from pgwatch_tests.testing import run_id

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, worker_id):
            with pathlib.Path(worker_id).open("a") as file:
                file.write(run_id())
        """
    )
    pytester._monkeypatch.delenv("PGWATCH_RUN", raising=False)
    pytester._monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    done = pytester.runpytest_subprocess("-n", "2", "--dist=each")
    done.assert_outcomes(passed=8)
    runs = [(pytester.path / worker).read_text() for worker in ("gw0", "gw1")]
    assert runs[0] == runs[1] == runs[0][:8] * 4


def test_the_database_is_the_one_that_commands_take(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("[tool.pgwatch-tests]\ndsn = 'postgresql://localhost/of_pyproject'\n")
    pytester.makepyfile(
        """
        import os

        def test_it(pgwatch_dsn):
            assert pgwatch_dsn == os.environ["EXPECTED"]
        """
    )
    monkeypatch = pytester._monkeypatch
    for variable in ("PGWATCH_DSN", "DATABASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("EXPECTED", "postgresql://localhost/of_pyproject")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    monkeypatch.setenv("PGWATCH_DSN", "postgresql://localhost/of_environment")
    monkeypatch.setenv("EXPECTED", "postgresql://localhost/of_environment")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    monkeypatch.setenv("EXPECTED", "postgresql://localhost/of_option")
    option = "--pgwatch-dsn=postgresql://localhost/of_option"
    pytester.runpytest_subprocess(option).assert_outcomes(passed=1)
