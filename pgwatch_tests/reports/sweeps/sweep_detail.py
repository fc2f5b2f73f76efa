"""The details of a job and of an entry of the history: what it did, when, and for whom. Pure."""

from __future__ import annotations

from pgwatch_tests.history.model import HistoryEntry, JobState, RunResult
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, labelled
from pgwatch_tests.reports.sweeps import sweep_history
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import day_and_minute, in_full
from pgwatch_tests.text.toned_text import Tone, Toned

_TONES: dict[RunResult, Tone] = {
    "done": "good",
    "interrupted": "warning",
    "refused": "warning",
    "skipped": "notice",
    "failed": "trouble",
}


def result_tone(entry: HistoryEntry) -> Tone:
    """The tone of an outcome; none for one that was done and changed nothing."""
    changed = not entry.dry_run and (entry.deleted_rows or entry.orphans_removed)
    return "" if entry.result == "done" and not changed else _TONES[entry.result]


def job_detail(job: JobState, keys: KeyName, *, acts: bool) -> Detail:
    """The detail of a job; `acts` if it may be run and paused."""
    does = f"{job.action}, dry run" if job.dry_run and job.action != "leaks" else job.action
    state = "off" if not job.enabled else "running" if job.running else "paused" if job.paused else ""
    soon = "not known" if job.next_run is None else day_and_minute(job.next_run)
    texts = [labelled("When", plain(job.when)), labelled("Next", state or soon, "warning" if state else "")]
    if job.last is None:
        texts.append(labelled("Last", "It never ran.", "quiet"))
    else:
        texts += [_outcome("Last", job.last), labelled("At", in_full(job.last.started_at), "quiet")]
    if acts:
        pauses = f"{keys('pause-job')} {'resumes' if job.paused else 'pauses'} it"
        asks = "" if job.dry_run or job.action == "leaks" else ", after a question"
        texts.append(labelled(NOW, f"{keys('run-job')} runs it now{asks} · {pauses}", "notice", vital=True))
    return Detail((Toned(plain(job.name), "lit"), Toned(f"  {does}")), tuple(texts))


def entry_detail(entry: HistoryEntry, keys: KeyName) -> Detail:
    """The detail of an entry of the history."""
    title = (
        Toned(sweep_history.action(entry), "lit"),
        Toned(f"  {plain(entry.database)} on {plain(entry.server)}, as {plain(entry.role)}"),
    )
    texts = [
        _outcome("Did", entry),
        labelled("When", f"{in_full(entry.started_at)}, for {durations.in_words(entry.duration_s)}"),
        labelled("By", plain(f"{entry.account}, {entry.trigger}, pid {entry.pid}")),
        labelled(NOW, f"{keys('detail')} shows all of its report", "notice", vital=True),
    ]
    return Detail(title, tuple(texts))


def _outcome(label: str, entry: HistoryEntry) -> Labelled:
    return labelled(label, sweep_history.result_words(entry), result_tone(entry))
