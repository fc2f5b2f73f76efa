"""Exactly the bad tests of the example are named, each with its reason and an advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.booking_example.expected import mistakes
from tests.booking_example.run import run_example

pytestmark = pytest.mark.usefixtures("programs", "python")


def test_exactly_the_bad_tests_are_named(tmp_path: Path) -> None:
    run = run_example(tmp_path)
    assert mistakes(run) == [], run.output
