"""Trends over runs for people, as text or Markdown: what comes again, since when, and how often.

Sentences tell what was seen, never why: that a test was blocked whenever it failed doesn't prove anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pgwatch_tests.history.runs.model import TestEvent
from pgwatch_tests.history.runs.trend_model import Sightings, Trends
from pgwatch_tests.leaks.model import LEFTOVER_NOUNS
from pgwatch_tests.reports.render.markdown_text import code
from pgwatch_tests.reports.render.text_or_markdown import TableFormat, foreign, grid, heading
from pgwatch_tests.reports.runs_over_time.run_list import COMMIT_WIDTH
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle
from pgwatch_tests.text.times import utc_time

_NAME_WIDTH = 50
_MESSAGE_WIDTH = 60
_NOUNS = {str(kind): nouns for kind, nouns in LEFTOVER_NOUNS.items()}
_NOTES = (
    "A build is a CI run with all its shards and attempts, or a run outside of a CI.",
    "Numbers are of what was seen: polls miss short waits, and that a test was blocked when it failed "
    "doesn't prove that it failed for it.",
)


def text(trends: Trends, place: str, form: TableFormat = "table") -> str:
    """The whole report, times in UTC."""
    return _Text(trends, form).written(place)


def events_text(events: Sequence[TestEvent], form: TableFormat = "table") -> str:
    """What happened to tests, newest first, a line each; empty if nothing did."""
    if not events:
        return ""
    name = _namer(form)
    rows = [
        (
            utc_time(event.began),
            name(event.test),
            _happened(event, name, form),
            name(event.commit[:COMMIT_WIDTH]),
            name(event.branch),
            name(" ".join(filter(None, (event.run, event.shard)))),
            str(event.attempt),
        )
        for event in events
    ]
    columns = ("Run began (UTC)", "Test", "What happened", "Commit", "Branch", "Run", "Attempt")
    return f"{heading('Last events', form)}\n{grid(columns, 'llllllr', rows, form)}\n"


def _message(message: str, form: TableFormat) -> str:
    """The beginning and the end of a failure's message."""
    return foreign(shortened_middle(message, _MESSAGE_WIDTH), form)


def _happened(event: TestEvent, name: Callable[[str], str], form: TableFormat) -> str:
    if event.kind == "left":
        return _left(event.other, event.object, int(event.amount), name)
    if event.kind in ("blocked", "blocked by"):
        how = "was blocked" if event.kind == "blocked by" else "blocked"
        by = " by" if event.kind == "blocked by" else ""
        behind = f"{how} {durations.in_words(event.amount)}{by} {name(event.other)}"
        return f"{behind}: {name(event.object)}" if event.object else behind
    message = f": {_message(event.message, form)}" if event.message else ""
    how = {"failed": "failed", "error": "ended with an error", "flaky": "failed, then passed"}[event.kind]
    return f"{how}{message}"


def _left(kind: str, what: str, number: int, name: Callable[[str], str]) -> str:
    if kind == "rows":
        return f"left {plural(number, 'row')} in {name(what)}"
    noun, nouns = _NOUNS.get(kind, (plain(kind.replace("_", " ")), ""))
    return f"left {plural(number, noun, nouns)} {name(what)}".rstrip()


def _namer(form: TableFormat) -> Callable[[str], str]:
    """Returns what makes other people's names fit a cell and harmless there."""
    if form == "markdown":
        return code
    return lambda one: shortened_left(plain(one), _NAME_WIDTH)


class _Text:
    """A report in one format."""

    def __init__(self, trends: Trends, form: TableFormat) -> None:
        self._trends = trends
        self._form: TableFormat = form
        self._name = _namer(form)
        kinds = (trends.pairs, trends.leaks, trends.flaky, trends.blockers, trends.deadlocks)
        self._several = len({one.repository for some in kinds for one in some}) > 1

    def written(self, place: str) -> str:
        """All of it."""
        where = f"The history is in {foreign(place, self._form)}"
        if not self._trends.builds:
            return f"No run since {_day(self._trends.since)} is on record.\n\n{where}\n"
        sections = [*self._pairs(), *self._blockers(), *self._leaks(), *self._flaky(), *self._deadlocks()]
        if not sections:
            sections = ["Nothing came again: no pair of tests, no leak, no flaky test, no deadlock.\n"]
        return "\n".join([self._summary(), *sections, *_NOTES, where]) + "\n"

    def _summary(self) -> str:
        trends = self._trends
        of = f", of tests named {self._name(trends.test)}" if trends.test else ""
        on = f" on {self._name(trends.branch)}" if trends.branch else ""
        told = f"outcomes of tests known of {trends.told_builds:,}"
        return (
            f"Since {_day(trends.since)}{on}{of}: {plural(trends.builds, 'build')} in "
            f"{plural(trends.runs, 'run')}, {trends.watched_builds:,} watched, {told}.\n"
        )

    def _table(
        self, title: str, headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]
    ) -> str:
        return f"{heading(title, self._form)}\n{grid(headers, alignment, rows, self._form)}\n"

    def _of(self, repository: str, name: str) -> str:
        """The name, with its repository where there are several."""
        is_told = self._several and repository
        return f"{self._name(name)} ({self._name(repository)})" if is_told else self._name(name)

    def _pairs(self) -> Iterator[str]:
        if not self._trends.pairs:
            return
        rows = [
            (
                str(number),
                f"{one.builds:,}",
                durations.in_words(one.blocked_s),
                durations.in_words(one.longest_s),
                self._of(one.repository, one.blocker),
                self._name(one.waiter),
                self._name(one.object),
                plain(one.cause.replace("_", " ")),
            )
            for number, one in enumerate(self._trends.pairs, 1)
        ]
        headers = (
            "",
            "Builds",
            "Blocked",
            "Longest",
            "Blocking test",
            "Waiting test",
            "Longest wait for",
            "Cause",
        )
        yield self._table("In each other's way", headers, "rrrrllll", rows)
        yield self._since((one.sightings for one in self._trends.pairs), "the waiting test")
        yield from self._more(self._trends.more_pairs, "pair")

    def _blockers(self) -> Iterator[str]:
        if self._trends.blockers:
            rows = [
                (f"{one.builds:,}", f"{one.waiters:,}", self._of(one.repository, one.blocker))
                for one in self._trends.blockers
            ]
            yield self._table("Tests that block others", ("Builds", "Others", "Test"), "rrl", rows)

    def _leaks(self) -> Iterator[str]:
        if not self._trends.leaks:
            return
        rows = [
            (
                str(number),
                f"{one.builds:,}",
                self._of(one.repository, one.test) if one.test else self._of(one.repository, "(not known)"),
                _left(one.kind, one.name, one.rows, self._name),
            )
            for number, one in enumerate(self._trends.leaks, 1)
        ]
        yield self._table(
            "Left again and again", ("", "Builds", "Test", "Left, over all builds"), "rrll", rows
        )
        yield self._since((one.sightings for one in self._trends.leaks), "the test")
        yield from self._more(self._trends.more_leaks, "leak")

    def _flaky(self) -> Iterator[str]:
        if not self._trends.flaky:
            return
        rows = [
            (
                f"{one.commits:,}",
                _share(one.blocked_when_failed, one.failed_builds),
                _share(one.blocked_when_passed, one.passed_builds),
                self._of(one.repository, one.test),
                ", ".join(map(self._name, one.blockers)),
                _message(one.message, self._form),
            )
            for one in self._trends.flaky
        ]
        headers = (
            *("Commits", "Blocked when it failed", "When it passed", "Flaky test"),
            *("Blocked by, when it failed", "Last failure"),
        )
        yield self._table("Failed and passed on one commit", headers, "rrrlll", rows)

    def _deadlocks(self) -> Iterator[str]:
        if self._trends.deadlocks:
            rows = [
                (
                    f"{one.builds:,}",
                    utc_time(one.last_began),
                    self._of(one.repository, one.members[0]),
                    ", ".join(map(self._name, one.members[1:])),
                    ", ".join(map(self._name, one.objects)),
                )
                for one in self._trends.deadlocks
            ]
            headers = ("Builds", "Last one (UTC)", "Test", "With", "Over")
            yield self._table("Deadlocks", headers, "rllll", rows)

    def _more(self, number: int, noun: str) -> Iterator[str]:
        if number:
            yield f"… and {number:,} more {noun if number == 1 else f'{noun}s'}.\n"

    def _since(self, sightings: Iterable[Sightings], test: str) -> str:
        mark = "- " if self._form == "markdown" else ""
        lines = (
            f"{mark}{number}: {'; '.join(self._sentences(one, test))}."
            for number, one in enumerate(sightings, 1)
        )
        return "\n".join(lines) + "\n"

    def _sentences(self, seen: Sightings, test: str) -> Iterator[str]:
        branch = f" on {self._name(seen.branch)}" if seen.branch else ""
        if seen.is_older:
            yield f"seen{branch} before {_day(self._trends.since)} too"
        else:
            first = f"first seen{branch} in {self._commit(seen.first_commit, seen.first_began)}"
            if seen.builds_before:
                ran = f" ({test} ran in {seen.ran_before:,})" if seen.ran_before is not None else ""
                yield f"{first}, and not in {plural(seen.builds_before, 'build')} before it{ran}"
            else:
                yield f"{first}; no build before it was watched"
        last = self._commit(seen.last_commit, seen.last_began)
        if seen.builds_after:
            yield f"last in {last}, and not in {plural(seen.builds_after, 'build')} since"
        elif seen.last_began != seen.first_began:
            yield f"last in {last}"

    def _commit(self, commit: str, began: datetime) -> str:
        if not commit:
            return f"the build of {utc_time(began)}"
        return f"{self._name(commit[:COMMIT_WIDTH])} ({utc_time(began)})"


def _share(number: int, of: int) -> str:
    return f"{number:,} of {of:,}"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
