"""What a run announces of itself, in 63 bytes and in a statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.postgres.runs import Announcement, RunRow, announced, is_run_session, live_runs

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def row(told: Announcement, statement: str | None = None, databases: list[str] | None = None) -> RunRow:
    text = told.statement().as_string(None) if statement is None else statement
    return RunRow(4711, told.application_name, text, databases, True)


def test_run_is_told_whole_where_its_statement_is_seen_and_in_short_where_not() -> None:
    told = Announcement(
        "1a2b3c4d", "app_test", "alone", SINCE, "anna@runner-12.example.com", "pytest -n 4 tests/api", "eu"
    )
    assert told.application_name == "pgwatch-run 1a2b3c4d! tb7yo0 anna@runner-12.example pytest -n 4"
    [whole] = live_runs([row(told)])
    assert (whole.who, whole.command, whole.shard) == (told.who, told.command, "eu")
    assert whole.databases == ("app_test",)
    assert whole.described(SINCE + timedelta(minutes=12)) == (
        "run 1a2b3c4d (eu), anna@runner-12.example.com, for 12 min, alone: pytest -n 4 tests/api"
    )
    for hidden in ("<insufficient privilege>", "SELECT 1", "SELECT '{]' AS pgwatch_run"):
        [short] = live_runs([row(told, hidden, ["app_test"])])
        assert (short.run, short.mode, short.since) == ("1a2b3c4d", "alone", SINCE)
        assert (short.who, short.command) == ("anna@runner-12.example", "pytest -n 4")
        assert short.databases == ("app_test",)


def test_names_of_others_announce_nothing() -> None:
    for name in ("", "psql", "pgwatch-tests", "pgwatch-run", "pgwatch-run x y z", "pgwatch-run 1a2b3c4d"):
        assert not is_run_session(name)
        assert announced(name) is None
    # Whoever takes such a name does no harm with a time out of this world.
    forged = announced("pgwatch-run 1a2b3c4d zzzzzzzzz me")
    assert forged is not None
    assert forged.since.year == 9999


@given(st.text(), st.text(), st.text(max_size=200), st.sampled_from(["shared", "alone", "waiting"]))
def test_any_text_fits_and_comes_back(who: str, command: str, database: str, mode: str) -> None:
    told = Announcement("1a2b3c4d", database, mode, SINCE, who, command)  # type: ignore[arg-type]
    name, statement = told.application_name, told.statement().as_string(None)
    assert len(name.encode()) <= 63
    assert name.isascii()
    assert name.isprintable()
    assert len(statement.encode()) < 1024
    [run] = live_runs([row(told)])
    assert (run.run, run.mode, run.since) == ("1a2b3c4d", mode, SINCE)
