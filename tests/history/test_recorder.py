from __future__ import annotations

import getpass
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.errors import BeingSweptError, CannotConnectError, RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.history.recorder import Origin, RecordedSweep, Recorder
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import MarkerSetting
from pgwatch_tests.sweep.model import Kept, SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.history.histories import BEGIN, report, settings

REQUEST = SweepRequest(kinds=("rows",), dry_run=False, min_age_s=60.0)


class Told:
    """A sweep that comes to what it was told to."""

    def __init__(self, comes_to: SweepReport | BaseException) -> None:
        self._comes_to = comes_to

    def run(self) -> SweepReport:
        if isinstance(self._comes_to, BaseException):
            raise self._comes_to
        return self._comes_to

    def stop(self) -> None:
        raise AssertionError("nobody stops it")

    cancel = stop


def recorded(home: Path, comes_to: SweepReport | BaseException, origin: Origin | None = None) -> HistoryEntry:
    """The only entry of a new history, after such a sweep."""
    configured = replace(settings(home / "history.sqlite3"), markers=(MarkerSetting("m", "m%"),))
    history = History.open(configured)
    recorder = Recorder(history, configured, origin or Origin(), pytest.fail)
    if isinstance(comes_to, BaseException):
        with pytest.raises(type(comes_to)):
            RecordedSweep(Told(comes_to), REQUEST, recorder).run()
    else:
        assert RecordedSweep(Told(comes_to), REQUEST, recorder).run() is comes_to
    (entry,) = history.entries()
    return entry


def test_a_sweep_that_went_through(home: Path) -> None:
    entry = recorded(home, report(), Origin("schedule", "nightly", "schemas"))

    assert (entry.trigger, entry.job, entry.action) == ("schedule", "nightly", "schemas")
    assert (entry.account, entry.pid) == (f"{getpass.getuser()}@{socket.gethostname()}", os.getpid())
    assert (entry.role, entry.server, entry.database) == ("me", "db.example:5433", "test_app")
    assert (entry.started_at, entry.result, entry.reason) == (BEGIN, "done", "")
    assert (entry.planned_rows, entry.deleted_rows, entry.kept_rows, entry.orphans_removed) == (4, 3, 2, 1)
    assert (entry.passes, entry.duration_s, entry.longest_transaction_s) == (1, 1.5, 0.125)
    assert entry.markers == ("test email",)


@pytest.mark.parametrize(
    ("comes_to", "result", "reason"),
    [
        (report(interrupted=True), "interrupted", ""),
        (report(error="the connection was lost"), "failed", "the connection was lost"),
        (RefusedError("no test database"), "refused", "no test database"),
        (BeingSweptError("pid 3 is at it"), "skipped", "pid 3 is at it"),
        (CannotConnectError("refused"), "failed", "refused"),
        (WorkCancelledError("cancelled"), "interrupted", "it was cancelled"),
        (KeyboardInterrupt(), "interrupted", "it was cancelled"),
        (ZeroDivisionError("hunter2"), "failed", "ZeroDivisionError"),
    ],
)
def test_other_ends(home: Path, comes_to: SweepReport | BaseException, result: str, reason: str) -> None:
    entry = recorded(home, comes_to)

    assert (entry.result, entry.reason) == (result, reason)
    assert (entry.kinds, entry.dry_run, entry.min_age_s) == (("rows",), False, 60.0)


def test_a_sweep_that_cannot_be_recorded_has_worked_all_the_same(home: Path) -> None:
    (home / "file").touch()
    configured = settings(home / "file" / "history.sqlite3")
    warnings: list[str] = []

    recorder = Recorder(History.open(configured), configured, Origin(), warnings.append)
    assert RecordedSweep(Told(report()), REQUEST, recorder).run() == report()
    with pytest.raises(RefusedError):
        RecordedSweep(Told(RefusedError("no")), REQUEST, recorder).run()
    assert [warning.partition(": ")[0] for warning in warnings] == ["not recorded"] * 2


def test_the_password_is_not_recorded(home: Path) -> None:
    recorded(home, report())
    recorded_bytes = b"".join(one.read_bytes() for one in home.glob("history.sqlite3*"))
    assert b"db.example" in recorded_bytes
    assert b"hunter2" not in recorded_bytes


def test_what_the_last_sweep_was_refused_is_known_to_the_next(home: Path) -> None:
    configured = settings(home / "history.sqlite3")
    history = History.open(configured)
    recorder = Recorder(history, configured, Origin(), pytest.fail)
    refused = replace(
        report(),
        kept=(
            Kept("public", "users", 2, "refused", "trigger keep of public.users raises"),
            Kept("public", "notes", 1, "locked", "by pid 3"),
        ),
    )
    assert recorder.knowing(REQUEST) == REQUEST

    RecordedSweep(Told(refused), REQUEST, recorder).run()
    known = frozenset({("public", "users", "trigger keep of public.users raises")})
    assert recorder.knowing(REQUEST) == replace(REQUEST, refused_before=known)
    # What tried to delete no row wasn't refused any.
    RecordedSweep(Told(replace(report(), dry_run=True)), replace(REQUEST, dry_run=True), recorder).run()
    RecordedSweep(Told(report()), replace(REQUEST, kinds=("schemas",)), recorder).run()
    of_a_job = Recorder(history, configured, Origin("schedule", "x", "schemas"), pytest.fail)
    RecordedSweep(Told(report()), REQUEST, of_a_job).run()
    elsewhere = settings(home / "history.sqlite3", "postgresql://me@db.example:5433/test_other")
    other = Recorder(history, elsewhere, Origin(), pytest.fail)
    RecordedSweep(Told(report("test_other")), REQUEST, other).run()
    assert recorder.knowing(REQUEST).refused_before == known
    assert other.knowing(REQUEST) == REQUEST
    RecordedSweep(Told(report()), REQUEST, recorder).run()
    assert recorder.knowing(REQUEST) == REQUEST


def test_where_the_history_cant_be_read_all_is_tried_anew(home: Path) -> None:
    (home / "history.sqlite3").write_text("no database")
    configured = settings(home / "history.sqlite3")

    assert Recorder(History.open(configured), configured, Origin(), pytest.fail).knowing(REQUEST) == REQUEST
