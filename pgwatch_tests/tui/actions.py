"""Actions of the dashboard on jobs and files: ask, run, write an export, notify of the outcome."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from textual.app import App

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.question import QuestionScreen
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.history.model import JobState
    from pgwatch_tests.tui.tabs.sweep_desk import JobDesk

T = TypeVar("T")
Severity = Literal["information", "warning", "error"]

_READING_S = 4.0
_READING_TROUBLE_S = 12.0


def tell(app: App[T], text: str, *, failed: bool = False) -> None:
    """Notifies of `text`, which may be foreign; of a failure for longer."""
    severity: Severity = "error" if failed else "information"
    timeout = _READING_TROUBLE_S if failed else _READING_S
    app.notify(plain(text), severity=severity, timeout=timeout, markup=False)


def tell_server_change(app: App[int], change: str) -> None:
    """Warns that another server answers; an open question, about the old one, is closed with no."""
    question = app.screen
    if isinstance(question, QuestionScreen):
        question.action_leave()
        change = f"{change} The open question was closed."
    app.notify(plain(change), severity="warning", timeout=_READING_TROUBLE_S, markup=False)


def run_now(app: App[T], jobs: JobDesk, job: JobState, afterwards: Callable[[], None]) -> None:
    """Runs `job` now; asks first if it deletes anything."""

    def answered(confirmed: bool | None) -> None:
        if confirmed:
            _change(app, partial(jobs.run_now, job.name), f"Job {job.name} started", afterwards)

    if job.dry_run or job.action == "leaks":
        answered(True)
    else:
        from pgwatch_tests.tui.screens.confirm import ConfirmSweepScreen, about_job

        app.push_screen(ConfirmSweepScreen(about_job(job)), answered)


def pause_or_resume(app: App[T], jobs: JobDesk, job: JobState, afterwards: Callable[[], None]) -> None:
    """Pauses `job`, or resumes it if it is paused."""
    words = f"Job {job.name} {'resumed' if job.paused else 'paused'}"
    _change(app, partial(jobs.pause, job.name, not job.paused), words, afterwards)


def _change(
    app: App[T], change: Callable[[], Awaitable[None]], words: str, afterwards: Callable[[], None]
) -> None:
    async def work() -> None:
        try:
            await change()
        except PgwatchError as error:
            tell(app, str(error), failed=True)
        else:
            tell(app, words)
        afterwards()

    start_worker(app, work, "job")


def write_export(app: App[int], folder: Path, kind: str, document: str) -> None:
    """Writes `document` to a new JSON file in `folder`; notifies of its path, or of the error.

    Who looks at it in a browser gets the file there.
    """
    path = folder / f"pgwatch-tests-{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    if app.is_web:
        app.deliver_text(StringIO(document), save_directory=folder, save_filename=path.name)
        return
    try:
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        app.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
    else:
        app.notify(f"wrote {path}", markup=False)
