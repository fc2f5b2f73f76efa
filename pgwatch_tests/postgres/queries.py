"""The SQL statements of `queries/`, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGED = Path(__file__).parents[1] / "_queries"
_CHECKOUT = Path(__file__).parents[2] / "queries"


def directory() -> Path:
    """Returns the directory that holds the statements."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """Returns the paths of all statements below `queries/`, sorted; without the templates of composed
    ones."""
    paths = (path.relative_to(directory()).with_suffix("") for path in directory().rglob("*.sql"))
    return sorted(path.as_posix() for path in paths if "composed" not in path.parts)


@cache
def load(name: str) -> str:
    """Returns the text of `queries/<name>.sql`. Raises FileNotFoundError."""
    return (directory() / f"{name}.sql").read_text(encoding="utf-8")
