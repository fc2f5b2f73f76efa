"""`pgwatch-tests locks --watch`: looks for a while, then reports who blocked whom, on what, for how long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.cli import accept_options, formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.cli.runs.progress import Progress
from pgwatch_tests.cli.runs.snapshot import POOLED
from pgwatch_tests.errors import EXIT_CODES, INTERRUPTED, ConfigurationError, PgwatchError
from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.gate import use_of_watch, watch_has_finding
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.locks.snapshot.poll_interval import PollPace, retry_pauses_s
from pgwatch_tests.settings.load import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch saw, if it saw anything; `trouble` is why its last poll failed."""

    seen: Contention | None
    interrupted: bool = False
    trouble: PgwatchError | None = None


@dataclass(frozen=True, slots=True)
class Accepting:
    """What is accepted, and the files of `--accept` and `--write-accept`."""

    known: Acceptance
    accept: Path | None
    write_accept: Path | None


def run(
    settings: Settings,
    seconds: float,
    form: Format,
    output: Path | None,
    min_wait_s: float,
    fail: bool,
    accepting: Accepting | None = None,
) -> int:
    """Watches for so long, or until Ctrl-C, and writes the report. Returns the exit code.

    With `fail` it is a gate: for new waits of `min_wait_s` seconds and for new deadlocks; what wasn't watched
    isn't passed.

    Raises the error of the first poll if that fails: there is nothing to report then.
    """
    if output is not None and not output.absolute().parent.is_dir():
        # An hour later would be a bad moment to find out.
        raise ConfigurationError(f"cannot write {output}: no such directory")
    with Progress("watching (seconds)", lambda done, total: f"watched {done:,} of {total:,} s") as progress:
        watched = asyncio.run(_Watch(settings, seconds, progress).run())
    if watched.seen is None:
        raise click.Abort if watched.trouble is None else watched.trouble
    known = None if accepting is None else _known(watched.seen, min_wait_s, accepting)
    use = None if known is None else use_of_watch(watched.seen, min_wait_s, known)
    options.emit(formats.render_contention(form, watched.seen, use), output, form)
    if watched.interrupted:
        options.narrate(f"interrupted after {watched.seen.watched_s:.0f} s; the report covers these")
        return INTERRUPTED
    if watched.trouble is not None:
        options.narrate(f"{watched.trouble}; the report covers what was seen before")
        return watched.trouble.exit_code
    if not fail:
        return 0
    if watch_has_finding(watched.seen, min_wait_s, known):
        return EXIT_CODES["findings"]
    return EXIT_CODES["incomplete" if watched.seen.unwatched_s else "clean"]


def _known(seen: Contention, min_wait_s: float, accepting: Accepting) -> Acceptance:
    """What is accepted, with what was found if that is to be written."""
    if accepting.write_accept is None:
        return accepting.known
    findings = use_of_watch(seen, min_wait_s, Acceptance()).new
    return accept_options.write(
        accepting.write_accept, accepting.known, "locks", findings, accepting.accept, keep=True
    )


class _Watch:
    def __init__(self, settings: Settings, seconds: float, progress: Progress) -> None:
        self._settings = settings
        self._seconds = seconds
        self._progress = progress
        self._contention = ContentionMeter()
        self._stop = asyncio.Event()
        self._seen_at_s = 0.0

    async def run(self) -> Watched:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._stop.set)
        try:
            async with LiveSource(self._settings) as source:
                trouble = await self._poll_until_over(source)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        seen = self._contention.result()
        if seen is not None and trouble is not None:
            unseen_s = time.monotonic() - self._seen_at_s
            seen = replace(seen, unwatched_s=seen.unwatched_s + unseen_s)
        return Watched(seen, self._stop.is_set(), trouble)

    async def _poll_until_over(self, source: LiveSource) -> PgwatchError | None:
        """Returns the error of the last poll, if that one failed."""
        began_s = time.monotonic()
        until_s = began_s + self._seconds
        retries_s, pace = retry_pauses_s(), PollPace()
        trouble: PgwatchError | None = None
        while not self._stop.is_set():
            asked_s = time.monotonic()
            is_first, is_last = self._contention.result() is None, asked_s >= until_s
            read = source.read_with_counts if is_first or is_last else source.read
            try:
                snapshot = await self._unless_stopped(read())
            except PgwatchError as error:
                if is_first:
                    return error
                if trouble is None:
                    options.narrate(f"not watching: {error}; trying again")
                self._contention.interrupt()
                trouble, sleep_s = error, next(retries_s)
            else:
                if snapshot is None:
                    break
                if is_first and snapshot.pooled:
                    options.narrate(POOLED)
                self._contention.add(snapshot)
                self._seen_at_s = time.monotonic()
                trouble, retries_s = None, retry_pauses_s()
                sleep_s = pace.pause_s(snapshot.blocked, snapshot.spent_s, self._settings.refresh_s)
            if is_last:
                break
            now_s = time.monotonic()
            self._progress.show(round(min(now_s - began_s, self._seconds)), max(1, round(self._seconds)))
            await self._unless_stopped(asyncio.sleep(max(0.0, min(sleep_s, until_s - now_s))))
        return trouble

    async def _unless_stopped(self, work: Coroutine[None, None, T]) -> T | None:
        """The result of `work`; None if Ctrl-C comes first."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await task if task.done() else None
        finally:
            for one in (task, stopping):
                one.cancel()
