"""Options of reports: `--pgwatch-report`, where files go, and which findings a team accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import pytest

Format = Literal["md", "junit", "github"]
FORMATS: tuple[Format, ...] = get_args(Format)


def add_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Adds the options and settings."""
    group.addoption(
        "--pgwatch-report",
        metavar="FORMATS",
        help="write reports, too: md (pgwatch.md, and the step summary of a GitHub workflow), junit "
        "(pgwatch.xml), github (annotations with file and line of the test), separated by commas",
    )
    group.addoption(
        "--pgwatch-report-dir",
        metavar="DIR",
        help="where pgwatch.md and pgwatch.xml go. Default: the rootdir",
    )
    group.addoption(
        "--pgwatch-accept",
        metavar="FILE",
        help="let findings pass that this file of `pgwatch-tests leaks --write-accept` lists by kind, table "
        "and test",
    )
    for name in ("report", "report_dir", "accept"):
        parser.addini(f"pgwatch_{name}", f"the same as --pgwatch-{name.replace('_', '-')}", default=None)


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
