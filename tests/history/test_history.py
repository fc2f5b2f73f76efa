from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import HistoryError, HistoryUnreachableError
from pgwatch_tests.history import store
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.settings.load import Dsn
from tests.history.histories import entry, report, settings
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import PATIENCE_S


def test_what_is_recorded_comes_back_newest_first(place: Path | Dsn) -> None:
    history = History.open(settings(place))
    added = [
        history.add(entry(1, "nightly")),
        history.add(entry(2, database="other")),
        history.add(
            replace(entry(3, "nightly"), leaked_rows=7, result="refused", reason="it's \udcff\0 'x'")
        ),
        history.add(entry(4)),
    ]

    again = History.open(settings(place))
    found = again.entries()
    assert [one.id for one in found] == [4, 3, 2, 1]
    assert found[0] == added[3]
    assert found[1] == replace(added[2], reason="it's \\udcff\\x00 'x'")
    assert again.entries(limit=1) == (added[3],)
    assert again.entries(database="other") == (added[1],)
    assert again.last("nightly") == found[1]
    assert again.last("weekly") is None


def test_the_whole_report_comes_back(place: Path | Dsn) -> None:
    history = History.open(settings(place))
    number = history.add(entry(), report()).id
    without = history.add(entry()).id

    assert number is not None
    assert history.report(number) == report()
    assert without is not None
    assert history.report(without) is None
    assert history.report(99) is None


def test_only_the_newest_are_kept(place: Path | Dsn) -> None:
    history = History.open(settings(place), kept=3)
    for number in range(5):
        history.add(entry(number))

    assert [one.deleted_rows for one in history.entries()] == [4, 3, 2]


def test_many_threads_and_connections_at_once(place: Path | Dsn) -> None:
    histories = [History.open(settings(place)) for _ in range(4)]
    together = threading.Barrier(8)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        together.wait(PATIENCE_S)
        try:
            for _ in range(5):
                histories[number % 4].add(entry(number))
        except BaseException as error:  # noqa: BLE001  # told by the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert failed == []
    assert len(histories[0].entries(100)) == 40


def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.sqlite3"
    History.open(settings(path)).add(entry())

    with sqlite3.connect(path) as reader:  # while it is open, its other files are there
        assert reader.execute("SELECT count(*) FROM sweeps").fetchone() == (1,)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    reader.close()
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History.open(settings(tmp_path / "file" / "history.sqlite3"))

    with pytest.raises(HistoryError, match=r"file/history\.sqlite3 can't be written: ") as caught:
        history.add(entry())
    assert "\n" not in str(caught.value)
    with pytest.raises(HistoryError, match="can't be read: "):
        history.entries()


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History.open(settings(tmp_path / "history.sqlite3"))
    history.add(entry(1))

    original = store._set_up_sqlite

    def without_room(connection: sqlite3.Connection, record: object) -> None:
        original(connection, record)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite's own SQLITE_FULL

    monkeypatch.setattr(store, "_set_up_sqlite", without_room)
    full = History.open(settings(tmp_path / "history.sqlite3"))
    big = replace(entry(2), reason="x" * 1_000_000)
    with pytest.raises(HistoryError, match="can't be written: database or disk is full"):
        full.add(big)
    assert [one.deleted_rows for one in history.entries()] == [1]


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_none_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(content)

    with pytest.raises(HistoryError, match=r"history\.sqlite3 can't be read: .*; move the file away"):
        History.open(settings(path)).entries()
    assert path.read_bytes() == content


def test_what_was_moved_away_is_made_anew(place: Path | Dsn, owner: Connection[TupleRow]) -> None:
    history = History.open(settings(place))
    history.add(entry(1))
    if isinstance(place, Path):
        place.unlink()
    else:
        owner.execute("DROP SCHEMA pgwatch_tests CASCADE")
        with pytest.raises(HistoryError, match=r'relation "pgwatch_tests\.sweeps" does not exist'):
            history.add(entry(2))

    history.add(entry(3))
    assert [one.deleted_rows for one in history.entries()] == [3]
    if isinstance(place, Path):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_later_layout_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    History.open(settings(path)).add(entry())
    with sqlite3.connect(path) as later:
        later.execute("UPDATE layout SET version = 5")
    later.close()

    with pytest.raises(HistoryError, match="has the layout 5, and this version"):
        History.open(settings(path)).add(entry())


def test_a_damaged_file_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    History.open(settings(path)).add(entry())
    content = path.read_bytes()
    # SQLite quotes the name in its message, which is no text then.
    schema = {b"tablesweepssweeps": b"table\xffweepssweeps", b"CREATE TABLE sweeps": b"CRXATE TABLE sweeps"}
    for changes in (schema, {b"db.example": b"db.ex\xffmple"}):
        damaged = content
        for found, other in changes.items():
            assert found in damaged
            damaged = damaged.replace(found, other)
        path.write_bytes(damaged)
        with pytest.raises(HistoryError, match=r"move the file away to start a new one|Could not decode"):
            History.open(settings(path)).entries()


def test_a_report_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    history = History.open(settings(path))
    number = history.add(entry(), report()).id
    assert number is not None
    with sqlite3.connect(path) as other:
        other.execute("UPDATE sweeps SET report = ?", [json.dumps({"new": 1})])
    other.close()

    with pytest.raises(HistoryError, match=f"the report of entry {number} in"):
        history.report(number)
    assert history.entries()[0].id == number


def test_no_server_and_no_password_in_the_message() -> None:
    history = History.open(
        settings(Dsn("postgresql+psycopg://u:hunter2@127.0.0.1:1/history", "PGWATCH_HISTORY"))
    )

    with pytest.raises(
        HistoryUnreachableError, match=r"can't be written: .*PGWATCH_HISTORY.*refused"
    ) as caught:
        history.add(entry())
    assert caught.value.exit_code == 3
    assert "hunter2" not in f"{caught.value}{history.name}"


def test_a_server_that_comes_back(database: Database, connect: Connect) -> None:
    owner = connect(database="postgres", autocommit=True)
    history = History.open(settings(Dsn(database.dsn, "PGWATCH_HISTORY")))
    history.add(entry(1))
    owner.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS false".encode())
    with pytest.raises(HistoryError, match="not currently accepting connections"):
        history.add(entry(2))

    owner.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS true".encode())
    history.add(entry(3))
    assert [one.deleted_rows for one in history.entries()] == [3, 1]


def test_a_database_must_be_named() -> None:
    history = History.open(settings(Dsn("postgresql://u@127.0.0.1:1", "history in pyproject.toml")))
    with pytest.raises(HistoryError, match=r"history in pyproject\.toml must name a database"):
        history.entries()


def test_a_role_that_may_only_use_the_tables(
    database: Database, owner: Connection[TupleRow], make_role: MakeRole, connect: Connect
) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    History.open(settings(place)).add(entry(1))
    role = make_role()
    for grant in (
        "USAGE ON SCHEMA",
        "SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA",
        "USAGE ON ALL SEQUENCES IN SCHEMA",
    ):
        owner.execute(f"GRANT {grant} pgwatch_tests TO {role}".encode())

    history = History.open(settings(Dsn(connect(user=role).info.dsn, "PGWATCH_HISTORY")))
    assert history.add(entry(2)).id == 2


def test_a_role_that_may_not(database: Database, make_role: MakeRole, connect: Connect) -> None:
    role = make_role()
    history = History.open(settings(Dsn(connect(user=role).info.dsn, "PGWATCH_HISTORY")))
    with pytest.raises(HistoryError, match="can't be written: permission denied for database"):
        history.add(entry())


def test_a_history_in_the_database_itself_is_no_leak(database: Database) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    History.open(settings(place)).add(replace(entry(), reason="parent@test.example.com"), report())

    here = replace(settings(place, database.dsn), test_schemas=("pg*",))
    found = scan(here, kinds=DEFAULT_KINDS)
    assert (found.total, found.leftovers) == (0, ())


def test_every_field_has_its_column(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    History.open(settings(path)).entries()
    with sqlite3.connect(path) as reader:
        columns = {row[1] for row in reader.execute("PRAGMA table_info(sweeps)")}
    reader.close()
    assert columns == {*HistoryEntry.__slots__, "report"}


@pytest.fixture(scope="module")
def three_entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a history with three entries, to be copied."""
    path = tmp_path_factory.mktemp("history") / "history.sqlite3"
    history = History.open(settings(path))
    for number in range(3):
        history.add(entry(number, "nightly"))
    return path


@pytest.mark.parametrize("value", ["'text'", "x'00ff'", "'[1'", "9e999", "'2026-99-99 00:00:00'", "'{}'"])
@pytest.mark.parametrize(
    "column", ["started_at", "reason", "kinds", "min_age_s", "pid", "passes", "leaked_rows"]
)
def test_a_damaged_entry_is_told_by_its_number(
    tmp_path: Path, three_entries: Path, column: str, value: str
) -> None:
    path = Path(shutil.copy(three_entries, tmp_path))
    history = History.open(settings(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(" ".join(("UPDATE sweeps SET", column, "=", value, "WHERE id = 2")))
        connection.commit()

    if column == "reason" and not value.startswith("x"):
        assert len(history.entries()) == 3
        return
    with pytest.raises(HistoryError, match=r"entry 2 of the history in .* is damaged"):
        history.entries()
    assert history.last("nightly") is not None
