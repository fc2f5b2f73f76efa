"""Finds and loads the SQL of `queries/*.sql`, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGED = Path(__file__).parent / "_queries"
_CHECKOUT = Path(__file__).parent.parent / "queries"


def directory() -> Path:
    """The directory that holds the statements."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """All statements' names, sorted."""
    return sorted(path.stem for path in directory().glob("*.sql"))


@cache
def load(name: str) -> str:
    """The text of `queries/<name>.sql`. Raises FileNotFoundError for a name that isn't there."""
    return (directory() / f"{name}.sql").read_text(encoding="utf-8")
