"""The options of reports, resolved: their formats, where files go, which findings a team accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import pytest

Format = Literal["md", "junit", "github"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """The options, resolved. Paths in settings are relative to the rootdir."""

    formats: tuple[Format, ...]
    directory: Path
    accept: Path | None

    @classmethod
    def of(cls, config: pytest.Config) -> ReportOptions:
        """Returns the options of a session. Raises UsageError for a format that is none."""
        formats = _value(config, "report") or ""
        names = tuple(name.strip() for name in formats.split(",") if name.strip())
        unknown = next((name for name in names if name not in FORMATS), None)
        if unknown is not None:
            raise pytest.UsageError(
                f"--pgwatch-report takes {', '.join(FORMATS)}, separated by commas, not {unknown!r}"
            )
        root = config.rootpath
        accept = _value(config, "accept")
        return cls(
            cast(tuple[Format, ...], names),
            root / (_value(config, "report_dir") or "."),
            None if accept is None else root / accept,
        )


def _value(config: pytest.Config, name: str) -> str | None:
    given = config.getoption(f"--pgwatch-{name.replace('_', '-')}") or config.getini(f"pgwatch_{name}")
    return str(given) if given else None
