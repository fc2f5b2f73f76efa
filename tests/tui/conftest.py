"""What screens depend on beside the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from screenshots.zone import local_zone


@pytest.fixture
def utc() -> Iterator[None]:
    """A zone of a short name, for lines that times just fit into."""
    with local_zone("UTC"):
        yield
