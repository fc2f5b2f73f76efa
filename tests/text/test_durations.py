from __future__ import annotations

import pytest

from pgwatch_tests.text import durations


@pytest.mark.parametrize(
    ("value_s", "long", "short"),
    [
        (None, "?", ""),
        (-0.5, "0.0 s", "0.0s"),
        (0.24, "0.2 s", "0.2s"),
        (9.96, "10 s", "10s"),
        (59.9, "1 min", "1m00s"),
        (200, "3 min 20 s", "3m20s"),
        (7500, "2 h 5 min", "2h05m"),
        (1_047_600, "12 d 3 h", "12d03h"),
        (3599.7, "1 h", "1h00m"),
        (172_800, "2 d", "2d00h"),
    ],
)
def test_durations(value_s: float | None, long: str, short: str) -> None:
    assert durations.in_words(value_s) == long
    assert durations.short(value_s) == short


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1.5", 1.5),
        ("2m", 120.0),
        ("2 min", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        (" .25s ", 0.25),
        ("0", 0.0),
    ],
)
def test_written_durations(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1,5", "2 weeks", "1s 2m", "nan", "inf", "1e3", "٣s", "1_0"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a duration"):
        durations.parse(text)
