"""What goes wrong around a suite is told in plain words, without frames of the plugin's own."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.suites import run_suite

pytest_plugins = ["pytester"]

FIXTURES = """
    import pytest

    @pytest.fixture(scope="module")
    def broken():
        raise OSError("no such thing")

    @pytest.fixture
    def breaks_late():
        yield
        raise OSError("too late")
"""
SUITE = """
    import pytest

    @pytest.mark.parametrize("n", range(2))
    def test_errs(broken, n):
        pass

    def test_ends(breaks_late):
        pass
"""


def test_an_error_of_a_fixture_has_no_frames_of_the_plugin(pytester: pytest.Pytester) -> None:
    done = run_suite(pytester, "host=127.0.0.1 port=1 user=nobody", SUITE, conftest=FIXTURES)

    done.assert_outcomes(passed=1, errors=3)
    done.stdout.fnmatch_lines(["*no such thing", "*too late"])
    assert "pytest_plugin" not in done.stdout.str()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "PGWATCH_LOG_DIR",
            "a_file/logs",
            "ERROR: the logs of the run can't be written to */a_file/logs (*): *",
        ),
        ("PGWATCH_RUN", "zz", "ERROR: PGWATCH_RUN must be 8 hex digits, *"),
    ],
)
def test_what_cant_be_is_told_before_the_first_test(
    pytester: pytest.Pytester, variable: str, value: str, words: str
) -> None:
    (pytester.path / "a_file").touch()
    done = run_suite(pytester, "", SUITE, environment={variable: value})

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([words])
    assert "Traceback" not in done.stderr.str()
