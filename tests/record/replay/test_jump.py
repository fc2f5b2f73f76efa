"""Places in a recording, as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.record.model import TestSighting
from pgwatch_tests.record.replay.jump import first_sight, moment_at
from screenshots.zone import local_zone
from tests.record.made_events import at

# 05:06:07 to 07:06:07 UTC are 10:36:07 to 12:36:07 there.
BEGAN, UNTIL = at(0), at(7200)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10:37", 53),
        ("10:36", 0),  # began within that minute
        ("10:36:07", 0),
        ("12:36:07", 7200),
        ("10:36:12.25", 5.25),
        (" 11:36:07 ", 3600),
        ("+2m", 120),
        ("+90", 90),
        ("-30s", 7170),
        ("0%", 0),
        ("40 %", 2880),
        ("100%", 7200),
        ("2026-03-04T10:36:17", 10),
        ("2026-03-04 05:06:17+00:00", 10),
    ],
)
def test_times(text: str, seconds: float) -> None:
    with local_zone("Asia/Kolkata"):
        assert moment_at(text, BEGAN, UNTIL) == at(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "10:35",
            "10:35 isn't in the recording, which is from 2026-03-04 10:36:07 IST to 2026-03-04 12:36:07",
        ),
        ("12:37", "isn't in the recording"),
        ("+3h", "isn't in the recording"),
        ("-3h", "isn't in the recording"),
        ("101%", "isn't in the recording"),
        ("25:00", "isn't a time of day"),
        ("2026-13-01", "isn't a time such as"),
        ("2026-03-05", "isn't in the recording"),
        ("+2x", "isn't a duration"),
    ],
)
def test_times_that_are_not_there(text: str, words: str) -> None:
    with local_zone("Asia/Kolkata"), pytest.raises(ConfigurationError) as error:
        moment_at(text, BEGAN, UNTIL)
    assert words in str(error.value)


def test_a_time_of_day_is_that_of_the_first_day_that_has_it_also_when_clocks_are_set() -> None:
    with local_zone("Europe/Berlin"):
        began, until = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC)
        # Summer time begins on the 29th: from then on, 11:00 there is 9:00 in UTC.
        assert moment_at("11:00", began, until) == datetime(2026, 3, 29, 9, tzinfo=UTC)
        assert moment_at("13:30", began, until) == datetime(2026, 3, 28, 12, 30, tzinfo=UTC)


def test_a_test_is_found_by_a_part_of_its_name_and_by_its_first_sight() -> None:
    def seen(test: str, first: float) -> TestSighting:
        return TestSighting(test, "pytest", "gw0", 1, at(first), at(first + 1), 3)

    tests = [seen("a.py::test_pay_twice", 1), seen("a.py::test_pay", 5), seen("a.py::test_pay", 3)]
    assert moment_at("test_pay", BEGAN, UNTIL) is None
    assert first_sight("TWICE", tests) == tests[0]
    assert first_sight("a.py", tests) == tests[0]
    # A whole name rather than the beginning of another one.
    assert first_sight("test_pay", tests) == tests[2]
    for wanted in ("test_refund", " ", "\x1b[31m"):
        with pytest.raises(ConfigurationError, match="no test seen in the recording has") as error:
            first_sight(wanted, tests)
        assert "\x1b" not in str(error.value)
