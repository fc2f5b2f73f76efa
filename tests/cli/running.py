"""The environment that commands are run in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_CHECKOUT = Path(__file__).parent.parent.parent


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without anything that says where to connect, and with `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "PYTEST")) and name != "DATABASE_URL"
    }
    return {**kept, "PYTHONPATH": str(_CHECKOUT), **(extra or {})}
