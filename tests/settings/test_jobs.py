from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.jobs import JobSetting, SweepKind, sweep_kinds
from pgwatch_tests.settings.load import Dsn, Flags, load


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_jobs_in_their_order(tmp_path: Path) -> None:
    start = project(
        tmp_path,
        """
        [tool.pgwatch-tests.schedule.nightly]
        cron = "30 2  * * *"
        timezone = "Europe/Berlin"
        databases = ["test_*", "ci"]
        only = ["schemas", "rows"]
        max_rows = 1000
        min_age = "1d"
        dry_run = true
        keep_unmarked = false
        [tool.pgwatch-tests.schedule."after work"]
        every = 900
        enabled = false
        [tool.pgwatch-tests.schedule.count]
        every = "15m"
        action = "leaks"
        """,
    )
    path = tmp_path / "pyproject.toml"

    assert load(Flags(), {}, start).schedule == (
        JobSetting(
            "nightly",
            f"schedule.nightly in {path}",
            cron="30 2 * * *",
            timezone="Europe/Berlin",
            databases=("test_*", "ci"),
            only=("rows", "schemas"),
            max_rows=1000,
            min_age_s=86400.0,
            dry_run=True,
            keep_unmarked=False,
        ),
        JobSetting("after work", f"schedule.after work in {path}", every_s=900.0, enabled=False),
        JobSetting("count", f"schedule.count in {path}", "leaks", every_s=900.0),
    )
    assert load(Flags(), {}, project(tmp_path, "")).schedule == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs either every"),
        ("every = '1m'\ncron = '* * * * *'", "needs either every"),
        ("evry = '1m'", "did you mean 'every'?"),
        ("every = '0.5s'", "schedule.x.every in"),
        ("every = 'soon'", "a duration such as '15m', not 'soon'"),
        ("every = true", "a duration such as '15m', not True"),
        ("cron = '* * * *'", "minute, hour, day, month and weekday"),
        ("every = '1m'\ntimezone = 'UTC'", "only cron uses one"),
        ("cron = '* * * * *'\ntimezone = 'Europe/Berlln'", "a time zone that this machine knows"),
        ("cron = '* * * * *'\ntimezone = '../etc'", "a time zone that this machine knows"),
        ("every = '1m'\naction = 'swep'", "must be one of sweep, leaks, schemas, not 'swep'"),
        ("every = '1m'\nonly = ['rowes']", "unknown 'rowes'; known kinds: rows, "),
        ("every = '1m'\nonly = []", "a list of at least one word"),
        ("every = '1m'\nmax_rows = -1", "a number of rows"),
        ("every = '1m'\ndatabases = 'test_*'", "a list of at least one word"),
        ("every = '1m'\ndry_run = 'no'", "must be true or false"),
        (
            "every = '1m'\naction = 'leaks'\nmax_rows = 3",
            "has the action 'leaks', which takes no setting max_rows",
        ),
        (
            "every = '1m'\naction = 'schemas'\nonly = ['rows']",
            "has the action 'schemas', which takes no setting only",
        ),
    ],
)
def test_a_wrong_job_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"schedule\.x.*pyproject\.toml") as caught:
        load(Flags(), {}, project(tmp_path, f"[tool.pgwatch-tests.schedule.x]\n{text}"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["schedule = 3", "schedule = {every = '1m'}"])
def test_jobs_are_tables(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be tables"):
        load(Flags(), {}, project(tmp_path, f"[tool.pgwatch-tests]\n{text}"))


def test_where_the_history_is_kept(tmp_path: Path) -> None:
    start = project(tmp_path, "[tool.pgwatch-tests]\nhistory = 'state/sweeps.sqlite3'")
    url = "postgresql+psycopg://me:hunter2@db.example/history"

    assert load(Flags(), {}, start).history == tmp_path / "state" / "sweeps.sqlite3"
    assert load(Flags(), {"PGWATCH_HISTORY": "/var/h"}, start).history == Path("/var/h")
    assert load(Flags(), {"PGWATCH_HISTORY": "~/h"}, start).history == Path("~/h").expanduser()
    assert load(Flags(), {"PGWATCH_HISTORY": "sqlite:///h"}, start).history == Path("h")
    assert load(Flags(), {"PGWATCH_HISTORY": "sqlite:////var/h"}, start).history == Path("/var/h")
    settings = load(Flags(), {"PGWATCH_HISTORY": url}, start)
    assert settings.history == Dsn(url, "PGWATCH_HISTORY")
    assert "hunter2" not in repr(settings)
    for words in ("dbname=history host=db.example user=me", " service = ci"):
        assert load(Flags(), {"PGWATCH_HISTORY": words}, start).history == Dsn(words, "PGWATCH_HISTORY")
    assert load(Flags(), {"PGWATCH_HISTORY": "state=1/h"}, start).history == Path("state=1/h")
    assert load(Flags(), {}, project(tmp_path, "")).history is None


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "sqlite://", "sqlite:///", "sqlite:///h?mode=ro"])
def test_a_history_that_is_neither(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="PGWATCH_HISTORY must be a file") as caught:
        load(Flags(), {"PGWATCH_HISTORY": url}, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_history_of_another_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"history in .*pyproject\.toml must be a file"):
        load(Flags(), {}, project(tmp_path, "[tool.pgwatch-tests]\nhistory = 3"))


def test_kinds_of_a_sweep_go_by_the_words_of_leaks_too() -> None:
    assert sweep_kinds(["Prepared-Transactions", "idle_in_transaction", "schema"]) == (
        "schemas",
        "sessions",
        "prepared",
    )
    for kind in get_args(SweepKind):
        assert sweep_kinds([kind]) == (kind,)
