"""The zone of the machine that draws pictures and README, which show that of their recording."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from screenshots.zone import local_zone


@pytest.fixture
def _elsewhere() -> Iterator[None]:
    with local_zone("Asia/Kolkata"):
        yield
