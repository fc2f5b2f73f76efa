from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.leaks.model import SAMPLE_LIMIT, shortened_sample


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("user_1717171717171_a1b2c3", "user_1717171717171_a1b2c3"),
        ("alice.smith@test.example.com", "alice…@test.example.com"),
        ("bob@test.example.com", "b…@test.example.com"),
        ("x@test.example.com", "…@test.example.com"),
        ("first@test.example.com, second@test.example.com", "first@…@test.example.com"),
        ("x" * 41, "x" * 39 + "…"),
        ("x" * 40, "x" * 40),
        ("", ""),
    ],
)
def test_samples_are_short_and_tell_no_address(value: str, shown: str) -> None:
    assert shortened_sample(value) == shown


@settings(deadline=None)
@given(st.text(), st.text(st.characters(exclude_characters="@")))
def test_at_most_half_of_a_local_part_is_shown(local: str, domain: str) -> None:
    sample = shortened_sample(f"{local}@{domain}")

    assert len(sample) <= SAMPLE_LIMIT
    assert sample.partition("…")[0] == local[: min(6, len(local) // 2)]
