"""`pgwatch-tests schedule now`: one run of one job, in the foreground."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue

from pgwatch_tests.cli import options
from pgwatch_tests.cli.commands.schedule_daemon import on_signals
from pgwatch_tests.errors import SIGNALLED
from pgwatch_tests.history.history import History
from pgwatch_tests.reports.sweeps.history_words import came_to
from pgwatch_tests.schedule.job_run import JobOutcome, JobRun, JobTasks, Tell
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.plain_text import plain


def run(settings: Settings, job: JobSetting, tell: Tell) -> int:
    """Runs it and prints what it came to, a line a database. Returns the exit code."""
    job_run = JobRun(job, settings, History.open(settings), "command line", tell, JobTasks())
    news: SimpleQueue[signal.Signals | JobOutcome | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            news.put(job_run.run())
        except BaseException as error:  # noqa: BLE001  # raised by who waits for it
            news.put(error)

    on_signals(news.put)
    # Not in the main thread: a signal's handler could interrupt it while it holds the lock that stop() takes.
    threading.Thread(target=work, name=f"job {job.name}", daemon=True).start()
    received: signal.Signals | None = None
    while isinstance(one := news.get(), signal.Signals):
        received = one
        options.narrate(f"{received.name}: ending after the batch; once more ends at once")
        job_run.stop()
    if isinstance(one, BaseException):
        raise one
    lines = [f"{plain(entry.database)}: {came_to(entry)}" for entry in one.entries]
    options.emit("\n".join(lines or ["nothing was done"]), None)
    return one.exit_code if received is None else SIGNALLED + received
