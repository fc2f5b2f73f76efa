"""The plugin says who runs: tests from set-up to tear-down, fixtures that are wider for themselves."""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    import pytest
    from pgwatch_tests.testing import current

    def owner():
        one = current()
        return (one.kind, one.name, one.worker, one.attempt, one.has_ended) if one else None

    LOG = []

    @pytest.fixture(scope="session")
    def wide():
        LOG.append(("wide up", owner()))
        yield
        LOG.append(("wide down", owner()))

    @pytest.fixture(scope="module", autouse=True)
    def module():
        LOG.append(("module up", owner()))
        yield
        LOG.append(("module down", owner()))

    @pytest.fixture
    def own(wide):
        LOG.append(("own up", owner()))
        yield
        LOG.append(("own down", owner()))

    def pytest_unconfigure():
        import json, pathlib
        pathlib.Path("log.json").write_text(json.dumps([*LOG, ("end", owner())]))
"""
"""Logs whom each step belongs to."""


def log_of(pytester: pytest.Pytester) -> dict[str, object]:
    """Whom each step belonged to, the last of its name."""
    return dict(json.loads((pytester.path / "log.json").read_text()))


def owner(name: str, kind: str = "test", attempt: int = 1) -> list[object]:
    return [kind, name, "", attempt, False]


def test_tests_and_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        test_it="""
        from conftest import LOG, owner

        def test_one(own):
            LOG.append(("one", owner()))

        def test_two():
            LOG.append(("two", owner()))
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", "--pgwatch=warn")
    done.assert_outcomes(passed=2)
    wide, module = "fixture wide [session]", "fixture module [module]"
    assert log_of(pytester) == {
        "module up": owner(module, "fixture"),
        "wide up": owner(wide, "fixture"),
        "own up": owner("test_it.py::test_one"),
        "one": owner("test_it.py::test_one"),
        "own down": owner("test_it.py::test_one"),
        "two": owner("test_it.py::test_two"),
        "module down": owner(module, "fixture"),
        "wide down": owner(wide, "fixture"),
        "end": None,
    }


def test_whatever_kind_of_test_it_is(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        test_it="""
        import unittest
        import pytest
        from conftest import LOG, owner

        class TestOld(unittest.TestCase):
            def setUp(self):
                LOG.append(("setUp", owner()))

            def test_it(self):
                LOG.append(("unittest", owner()))

        async def test_async():
            LOG.append(("async", owner()))

        @pytest.fixture
        def broken():
            LOG.append(("broken", owner()))
            raise ValueError

        def test_broken(broken):
            pass

        def test_next():
            LOG.append(("next", owner()))
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:randomly", "-o", "asyncio_mode=auto", "--pgwatch=warn")
    done.assert_outcomes(passed=3, errors=1)
    log = log_of(pytester)
    for step, name in (
        ("setUp", "TestOld::test_it"),
        ("unittest", "TestOld::test_it"),
        ("async", "test_async"),
        ("broken", "test_broken"),
        ("next", "test_next"),
    ):
        assert log[step] == owner(f"test_it.py::{name}")
    assert log["end"] is None


def test_workers_have_names_and_share_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, subprocess, sys
        import pytest
        from pgwatch_tests.testing import current, run_id

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, worker_id):
            assert current().worker == worker_id != ""
            assert run_id() == "5e6f7a8b" == os.environ["PGWATCH_RUN"]
        """
    )
    pytester._monkeypatch.setenv("PGWATCH_RUN", "5E6F7A8B")
    pytester.runpytest_subprocess("-n", "2", "--pgwatch=warn").assert_outcomes(passed=4)


def test_each_attempt_is_an_owner_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pgwatch_tests.testing import current
        OWNERS = []

        def test_it():
            OWNERS.append(current())
            assert [one.attempt for one in OWNERS] == [1, 2]
            assert OWNERS[0].has_ended
        """
    )
    pytester.runpytest_subprocess("--reruns", "2", "--pgwatch=warn").assert_outcomes(passed=1)


@pytest.mark.parametrize("place", ["nowhere", "option", "environment", "ini"])
def test_it_is_off_until_asked_for(place: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, sys

        def test_it():
            is_on = os.environ["EXPECTED"] == "on"
            loaded = {"psycopg", "sqlalchemy"} & set(sys.modules)
            ours = {name for name in sys.modules if name.startswith("pgwatch_tests.")}
            assert is_on or not loaded
            assert is_on == ("pgwatch_tests.pytest_plugin.active" in sys.modules)
            plugin = "pgwatch_tests.pytest_plugin"
            fixtures = {name for name in ours if name.startswith(plugin) and name.endswith("fixtures")}
            assert is_on or ours == {plugin, *fixtures}
        """
    )
    monkeypatch = pytester._monkeypatch
    monkeypatch.setenv("EXPECTED", "off" if place == "nowhere" else "on")
    options = ["-p", "no:randomly", *(["--pgwatch=warn"] if place == "option" else [])]
    if place == "environment":
        monkeypatch.setenv("PGWATCH", "fail")
    if place == "ini":
        pytester.makeini("[pytest]\npgwatch = warn\n")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)


def test_a_mode_that_is_none_is_an_error_of_usage(pytester: pytest.Pytester) -> None:
    pytester._monkeypatch.setenv("PGWATCH", "yes")
    done = pytester.runpytest_subprocess()
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*PGWATCH must be off, warn or fail, not 'yes'*"])
