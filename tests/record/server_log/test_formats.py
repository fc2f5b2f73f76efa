"""The three formats of the log: what is torn, hostile, in another language or another time zone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.record.server_log.entries import LogReading, Zone, read_entries
from pgwatch_tests.record.server_log.line_prefix import COMMON, LinePrefix, recognised
from pgwatch_tests.record.server_log.lock_messages import lock_messages
from pgwatch_tests.record.server_log.log_files import LogSettings, read_server_log

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
VALUES = {
    "m": "2026-03-01 12:00:00.123 UTC",
    "t": "2026-03-01 12:00:00 UTC",
    "n": "1772366400.123",
    "p": "4711",
    "c": "69a42bc0.1267",
    "l": "3",
    "u": "app",
    "d": "app_test",
    "a": "pytest:gw0 tests/test_a.py::test_b",
    "h": "10.0.0.7",
    "r": "10.0.0.7(5123)",
    "e": "40P01",
    "x": "0",
    "v": "3/12",
    "%": "%",
}
STATEMENT = "UPDATE users\n\tSET password = 'hunter2' -- ERROR:  deadlock detected"
DETAIL = (
    "Process 4711 waits for ShareLock on transaction 742; blocked by process 4712.\n"
    "Process 4712 waits for ShareLock on transaction 741; blocked by process 4711.\n"
    "Process 4711: {}\nProcess 4712: {}"
).format(STATEMENT, "UPDATE users SET name = 'Process 4711: x'")


def prefixed(setting: str, name: str = VALUES["a"]) -> str:
    text = setting.replace("%q", "")
    for letter, value in {**VALUES, "a": name}.items():
        text = text.replace(f"%{letter}", value)
    return text


def stderr(setting: str, name: str = VALUES["a"]) -> str:
    begin = prefixed(setting, name)
    texts = (("ERROR", "deadlock detected"), ("DETAIL", DETAIL), ("STATEMENT", STATEMENT))
    return "".join(f"{begin}{word}:  {text}\n".replace("\n", "\n\t")[:-1] for word, text in texts)


def csv(pid: str = "4711", message: str = "deadlock detected", detail: str = DETAIL, **more: str) -> str:
    columns = [
        *("2026-03-01 12:00:00.123 UTC", "app", "app_test", pid, "10.0.0.7:5123", "69a42bc0.1267", "1"),
        *("UPDATE", "2026-03-01 11:59:00 UTC", "3/12", "741", more.get("severity", "ERROR")),
        *(more.get("state", "40P01"), message, detail, "", "", "", more.get("context", "")),
        *(more.get("statement", STATEMENT), "", "", VALUES["a"], "client backend"),
    ]
    return ",".join(
        '"' + column.replace('"', '""') + '"' if i > 0 else column for i, column in enumerate(columns)
    )


@pytest.mark.parametrize("setting", [*COMMON, "%n %c %e ", "%-6p|%m|%%|%a|"])
def test_any_prefix_with_time_and_process_is_read(setting: str) -> None:
    text = stderr(setting.replace("%-6p", "  4711"))
    prefix = LinePrefix(setting)
    reading = LogReading()
    [entry] = read_entries(text.splitlines(keepends=True), "stderr", Zone(), reading, prefix)
    assert (entry.pid, entry.at.replace(microsecond=0)) == (4711, datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert (entry.severity, entry.message, entry.statement) == ("ERROR", "deadlock detected", STATEMENT)
    assert entry.detail == DETAIL
    assert (entry.name == VALUES["a"]) is entry.has_name is ("%a" in setting)
    assert reading == LogReading(entries=1)


def test_prefix_that_tells_too_little_is_refused_and_one_is_guessed() -> None:
    for setting in ("", "%m ", "[%p] ", "%q"):
        with pytest.raises(ValueError, match="tells neither"):
            LinePrefix(setting)
    for setting in ("%m [%p] ", "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ", "%m [%p] %q%u@%d "):
        found = recognised(stderr(setting).splitlines(keepends=True))
        assert found is not None
        assert found.match(stderr(setting).splitlines()[0]) is not None
    assert recognised(["what is this\n"]) is None


@pytest.mark.parametrize("form", ["stderr", "csv", "json"])
def test_deadlock_has_both_statements_without_secrets(form: str) -> None:
    if form == "stderr":
        text = stderr("%m [%p] %q%a ")
    elif form == "csv":
        text = csv() + "\n"
    else:
        keys = {"timestamp": VALUES["m"], "pid": 4711, "error_severity": "ERROR", "state_code": "40P01"}
        texts = {"message": "deadlock detected", "detail": DETAIL, "statement": STATEMENT}
        text = json.dumps({**keys, **texts, "application_name": VALUES["a"]}) + "\n"
    lines = text.splitlines(keepends=True) if form != "json" else [text]
    entries = read_entries(lines, form, Zone(), LogReading(), LinePrefix("%m [%p] %q%a "))  # type: ignore[arg-type]
    [deadlock] = lock_messages(entries, SINCE, None).deadlocks
    first, second = deadlock.members
    assert (first.session.pid, first.session.name) == (4711, VALUES["a"])
    assert (second.session.pid, second.target) == (4712, "transaction 741")
    assert first.session.statement.startswith("UPDATE users\n\tSET password = '***'")
    assert second.session.statement == "UPDATE users SET name = 'Process 4711: x'"


def test_other_languages_are_known_by_sqlstate_and_numbers() -> None:
    detail = (
        "Prozess 4711 wartet auf ShareLock auf Transaktion 742; blockiert von Prozess 4712.\n"
        "Prozess 4712 wartet auf ShareLock auf Transaktion 741; blockiert von Prozess 4711.\n"
        "Prozess 4711: UPDATE a\nProzess 4712: UPDATE b"
    )
    waiting = (
        "Prozess 4713 wartet immer noch auf AccessShareLock auf Relation 5 der Datenbank 6 nach 1000,123 ms"
    )
    got_it = "Prozess 4713 erlangte AccessShareLock auf Relation 5 der Datenbank 6 nach 2500,123 ms"
    holder = "Prozess, der die Sperre hält: 4711. Warteschlange: 4713."
    log = {"severity": "LOG", "state": "00000", "statement": "SELECT 1"}
    lines = [
        csv(message="Verklemmung entdeckt", detail=detail, statement="UPDATE a") + "\n",
        csv("4713", waiting, holder, **log) + "\n",
        csv("4713", got_it, "", **log).replace("12:00:00.123", "12:00:01.623") + "\n",
    ]
    found = lock_messages(
        read_entries("".join(lines).splitlines(keepends=True), "csv", Zone(), LogReading()), SINCE, None
    )
    [deadlock] = found.deadlocks
    assert [member.session.statement for member in deadlock.members] == ["UPDATE a", "UPDATE b"]
    [wait] = found.waits
    assert (wait.holders, wait.waited_s, wait.got_it, wait.mode) == (
        (4711,),
        2.500123,
        True,
        "AccessShareLock",
    )


def test_wait_that_fails_ends_with_its_error_and_one_that_goes_on_has_no_end() -> None:
    def entry(at: str, pid: str, message: str, detail: str, severity: str, state: str) -> str:
        text = csv(pid, message, detail, severity=severity, state=state, statement="SELECT 1")
        return text.replace("12:00:00.123", at) + "\n"

    still = "process {} still waiting for ShareLock on transaction 7 after 1000.000 ms"
    holder = "Process holding the lock: 1. Wait queue: {}."
    lines = [
        entry("12:00:01.000", "11", still.format(11), holder.format(11), "LOG", "00000"),
        entry("12:00:02.000", "12", still.format(12), holder.format(12), "LOG", "00000"),
        entry("12:00:05.000", "11", "canceling statement due to lock timeout", "", "ERROR", "55P03"),
    ]
    waits = lock_messages(read_entries(lines, "csv", Zone(), LogReading()), SINCE, None).waits
    assert [(one.waiter.pid, one.waited_s, one.ended is None, one.got_it) for one in waits] == [
        (11, 5.0, False, False),
        (12, 1.0, True, False),
    ]


def test_torn_and_hostile_records_cost_no_others() -> None:
    whole = csv() + "\n"
    torn = whole[: len(whole) // 2]
    reading = LogReading()
    lines = ["tail of something\n", *whole.splitlines(keepends=True), *torn.splitlines(keepends=True)]
    assert len(list(read_entries(lines, "csv", Zone(), reading))) == 1
    assert reading.unread == 2
    reading = LogReading()
    bad = [
        "{\n",
        "[]\n",
        '{"timestamp": 5, "pid": 1}\n',
        '{"timestamp":"2026-03-01 12:00:00.1 UTC"}\n',
        "[" * 9999,
    ]
    assert not list(read_entries(bad, "json", Zone(), reading))
    assert reading.unread == len(bad)
    reading = LogReading()
    # An application may call itself anything, and a statement may look like a line of the log.
    forged = stderr("%m [%p] %a ", "x] ERROR:  deadlock detected")
    entries = list(
        read_entries(forged.splitlines(keepends=True), "stderr", Zone(), reading, LinePrefix("%m [%p] %a "))
    )
    assert {entry.pid for entry in entries} == {4711}
    assert not lock_messages(entries, SINCE, None).deadlocks


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-03-01 12:00:00.5 UTC", "", "2026-03-01T12:00:00.500000+00:00"),
        ("2026-03-01 12:00:00 +0530", "", "2026-03-01T06:30:00+00:00"),
        ("2026-03-01 12:00:00 -03", "", "2026-03-01T15:00:00+00:00"),
        ("2026-07-01 12:00:00 CEST", "Europe/Berlin", "2026-07-01T10:00:00+00:00"),
        # The hour that comes twice.
        ("2026-10-25 02:30:00 CEST", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25 02:30:00 CET", "Europe/Berlin", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_times_are_read_in_the_zone_of_the_log(text: str, zone: str, utc: str) -> None:
    reading = LogReading()
    at = Zone(zone).time(text, reading)
    assert at is not None
    assert at.isoformat() == utc
    assert not reading.unknown_zones


def test_unknown_zone_is_told() -> None:
    reading = LogReading()
    assert Zone().time("2026-07-01 12:00:00 CEST", reading) is not None
    assert reading.unknown_zones == {"CEST"}
    for wrong in ("", "2026-13-01 12:00:00 UTC", "2026-03-01 12:00:00", "now"):
        assert Zone().time(wrong, reading) is None


def test_huge_log_is_read_from_the_start_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "postgresql-2026-03-01.log"
    line = "2026-03-01 {:02}:{:02}:{:02}.000 UTC [{}] LOG:  statement: SELECT \xff {}\n"
    with path.open("wb") as file:
        for hour in range(3):
            for second in range(3600):
                text = line.format(hour, second // 60, second % 60, 7, "x" * 300)
                file.write(text.encode("latin-1"))
        # What is torn at the end may be whole in a moment.
        file.write(
            stderr("%m [%p] ").replace("12:00:00", "02:59:59").encode()
            + b"2026-03-01 03:00:00.000 UTC [9] ERR"
        )
    since = datetime(2026, 3, 1, 2, 50, tzinfo=UTC)
    log = read_server_log(path, since, settings=LogSettings("%m [%p] ", "UTC"))
    assert len(log.messages.deadlocks) == 1
    assert log.entries < 1700
    assert not log.remarks
    # Without what the server says of it, as well.
    assert len(read_server_log(path, since).messages.deadlocks) == 1
    assert not read_server_log(path, since, since).messages.deadlocks
    # Whoever has no time says so.
    assert read_server_log(path, since, within_s=-1.0).remarks == [
        f"{path.name} was read in part only: no time was left"
    ]


def test_rotated_log_and_directory(tmp_path: Path) -> None:
    old, new = tmp_path / "postgresql-01.log", tmp_path / "postgresql-02.log"
    old.write_text(stderr("%m [%p] "), encoding="utf-8")
    new.write_text(stderr("%m [%p] ").replace("4711", "4811"), encoding="utf-8")
    (tmp_path / "postgresql-01.log.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "other.txt").write_text("not one of it\n", encoding="utf-8")
    for path in (new, tmp_path):
        found = read_server_log(path, SINCE).messages.deadlocks
        assert sorted(one.members[0].session.pid for one in found) == [4711, 4811]


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_server_log(tmp_path / "none.log", SINCE)
    with pytest.raises(ConfigurationError, match="there is no log in"):
        read_server_log(tmp_path, SINCE)
    # One in which nothing was written since.
    (tmp_path / "old.log").write_text(stderr("%m [%p] "), encoding="utf-8")
    assert not read_server_log(tmp_path, datetime.now(UTC) + timedelta(hours=1)).messages.deadlocks
    odd = tmp_path / "odd.log"
    odd.write_text("hello\nworld\n", encoding="utf-8")
    assert "isn't understood" in read_server_log(odd, SINCE).remarks[0]
