"""Writes what is shown to a file."""

from __future__ import annotations

import time
from pathlib import Path

from textual.app import App

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.leaks import leak_json
from pgwatch_tests.reports.locks import contention_json, lock_json
from pgwatch_tests.reports.sweeps import sweep_json
from pgwatch_tests.sweep.model import SweepReport

Shown = LockSnapshot | LeakReport | Contention | SweepReport


def export(app: App[int], folder: Path, shown: Shown | None) -> None:
    """Writes it to a new JSON file in `folder`, and tells which, or why not; nothing is no file."""
    if shown is None:
        return
    kind, document = _document(shown)
    path = folder / f"pgwatch-tests-{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    try:
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        app.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
    else:
        app.notify(f"wrote {path}", markup=False)


def _document(shown: Shown) -> tuple[str, str]:
    match shown:
        case LockSnapshot():
            return "locks", lock_json.document(shown)
        case LeakReport():
            return "leaks", leak_json.document(shown)
        case Contention():
            return "contention", contention_json.document(shown)
        case SweepReport():
            return "sweep", sweep_json.document(shown)
