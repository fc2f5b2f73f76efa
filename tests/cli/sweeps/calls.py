"""Calls of `pgwatch-tests sweep` in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from pgwatch_tests import cli

DSN = ("--dsn", "postgresql://app@localhost/test_app")


def sweep(*arguments: str) -> int:
    """Returns its exit code."""
    return cli.run(["sweep", *DSN, *arguments])


def history(capsys: pytest.CaptureFixture[str], *arguments: str) -> Sequence[dict[str, object]]:
    """Returns the entries of its history, the newest first."""
    capsys.readouterr()
    assert cli.run(["sweep", "--history", "--format", "json", *arguments]) == 0
    entries = json.loads(capsys.readouterr().out)["sweeps"]
    assert isinstance(entries, list)
    return entries
