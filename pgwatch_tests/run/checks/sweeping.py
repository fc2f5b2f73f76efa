"""The sweep of `run --sweep`: as `pgwatch-tests sweep --yes`, after the run has given its lease back."""

from __future__ import annotations

from pgwatch_tests.history.history import History
from pgwatch_tests.history.recorder import Origin, RecordedSweep, Recorder
from pgwatch_tests.run.command.signals import SignalRelay
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.text.numbers import plural


def sweep(settings: Settings, relay: SignalRelay, warnings: list[str]) -> str:
    """Sweeps, and puts it on record. Returns a sentence on what is gone and what stays.

    A signal ends it after the batch, a second one at once. Raises what `Sweep.run` does.
    """
    request = SweepRequest(dry_run=False, min_age_s=settings.min_age_s, keep_unmarked=settings.keep_unmarked)
    recorder = Recorder(History.open(settings), settings, Origin("command line"), warnings.append)
    known = recorder.knowing(request)
    task = RecordedSweep(Sweep(settings, known, None), known, recorder)
    relay.on_end = lambda _number, count: task.cancel() if count > 1 else task.stop()
    report = task.run()
    gone = f"swept {plural(report.deleted_rows, 'row')}"
    orphans = sum(orphan.removed for orphan in report.orphans)
    if orphans:
        gone += f" and {plural(orphans, 'schema, database or the like', 'schemas, databases and the like')}"
    kept = sum(one.rows for one in report.kept)
    stays = f"; {plural(kept, 'row')} stayed ({report.causes[0].reason.replace('_', ' ')})" if kept else ""
    ended = f"; it ended early: {report.error}" if report.error else ""
    return f"{gone}{stays}{ended}"
