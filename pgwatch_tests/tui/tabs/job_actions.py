"""What `n` and `o` do to a job of the schedule: ask if need be, have it done, tell what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.app import App

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.history.model import JobState
from pgwatch_tests.tui.notifications import tell
from pgwatch_tests.tui.screens.confirm_sweep import ConfirmSweepScreen, about_job
from pgwatch_tests.tui.tabs.sweep_desk import JobDesk


def run_now(app: App[object], jobs: JobDesk, job: JobState, afterwards: Callable[[], None]) -> None:
    """Runs it out of turn; after a question, if it removes anything."""

    def answered(confirmed: bool | None) -> None:
        if confirmed:
            _change(app, jobs.run_now(job.name), f"Job {job.name} started", afterwards)

    if job.dry_run or job.action == "leaks":
        answered(True)
    else:
        app.push_screen(ConfirmSweepScreen(about_job(job)), answered)


def pause_or_resume(app: App[object], jobs: JobDesk, job: JobState, afterwards: Callable[[], None]) -> None:
    """Pauses it, or lets it go on if it's paused."""
    words = f"Job {job.name} {'resumed' if job.paused else 'paused'}"
    _change(app, jobs.pause(job.name, not job.paused), words, afterwards)


def _change(app: App[object], change: Awaitable[None], words: str, afterwards: Callable[[], None]) -> None:
    async def work() -> None:
        try:
            await change
        except PgwatchError as error:
            tell(app, str(error), failed=True)
        else:
            tell(app, words)
        afterwards()

    app.run_worker(work(), name="job", group="job")
