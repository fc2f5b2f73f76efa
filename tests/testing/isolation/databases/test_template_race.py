"""A template is built once and whole, whichever processes are at it and whenever one of them is killed."""

from __future__ import annotations

import json
import random
import subprocess

import pytest

from tests.servers.sessions import Database
from tests.sweep.orphans.sweeping import swept

_ROUNDS = 25


@pytest.mark.parametrize("part", range(4))
def test_it_is_built_once_and_whole(part: int, python: str, database: Database) -> None:
    seed = random.randrange(10**9)
    command = [
        python,
        "-m",
        f"{__package__}.builders",
        database.dsn,
        str(_ROUNDS),
        str(seed),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == _ROUNDS
    for line in lines:
        began, found = line["told"].count("began"), line["told"].count("found")
        if line["kill_after_s"] is None:
            assert (began, found) == (1, 3), f"once: {line}, seed {seed}"
        else:
            assert line["told"][-1] == "a b", f"whole: {line}, seed {seed}"
            assert began in (1, 2), f"{line}, seed {seed}"
            assert found in (2, 3), f"{line}, seed {seed}"
    # What the killed have left.
    swept(database.dsn, "databases", min_age_s=0)
