"""The detail of a leak: which test left it, examples, the fix, and what keys do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pgwatch_tests.identity import test_names
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak, is_certain
from pgwatch_tests.leaks.model import Attribution, FoundRow, FoundRows, Leftover, TableLeak
from pgwatch_tests.reports.leaks import leak_remedies, leak_words
from pgwatch_tests.reports.leaks.leak_remedies import Copyable
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, Line, labelled
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_names
from pgwatch_tests.text.times import clock, in_full
from pgwatch_tests.text.toned_text import Tone, Toned

_NOT_ASKED = (
    "not known: pgwatch-tests run -- pytest --pgwatch=warn keeps the log that tells it; or set "
    "PGWATCH_TRANSACTIONS to a directory of logs, or start this with --tests FILE"
)
_MOST_TESTS = 12
_MOST_COLUMNS = 12
_LONGEST_KEY = 24
"""Characters of a key up to which what follows begins in one column."""


def table_detail(
    leak: TableLeak,
    change: int | None,
    now: datetime,
    keys: KeyName,
    *,
    does: Sequence[str] = (),
    min_age_s: float | None = None,
    why_not_swept: str = "",
) -> Detail:
    """The detail of a leaking table; `change` is since the count before, None if that isn't known.

    `does` says what keys do: `w plans a sweep of just this`. `min_age_s` is the minimum age of what is swept;
    None where nothing is. `why_not_swept` says why no sweep may change its database.
    """
    copies = () if why_not_swept else leak_remedies.table_copies(leak)
    swept = "" if min_age_s is None else _swept_from(leak, now, min_age_s)
    more = f", {change:+,} since the count before" if change else ""
    title = (
        Toned(plain(f"{leak.schema}.{leak.table}"), "trouble"),
        Toned(f"  {plural(leak.rows, 'leaked row')}{more}"),
        Toned("" if leak.kind == "table" else f"  {leak.kind}", "quiet"),
    )
    texts = [
        Labelled("Test", tuple(_left_by(leak.attribution)) or ((Toned(_NOT_ASKED, "notice"),),)),
        labelled("In", plain(", ".join(leak.columns[:_MOST_COLUMNS]))),
        labelled("Like", plain(", ".join(leak.samples))),
        labelled("Age", _ages(leak, now)),
        _no_sweep(why_not_swept) if why_not_swept else labelled("Sweep", swept, vital=True),
        labelled("Fix", leak_remedies.table_fix(leak), "good", vital=True),
        *_now(does, copies, keys),
    ]
    return Detail(title, tuple(one for one in texts if any(part.text for line in one.lines for part in line)))


def leftover_detail(
    one: Leftover, tone: Tone, keys: KeyName, *, does: Sequence[str] = (), why_not_swept: str = ""
) -> Detail:
    """The detail of something left beside rows; `why_not_swept` as of a table."""
    age = "" if one.age_s is None else f", {durations.in_words(one.age_s)} old"
    title = (Toned(plain(one.name), tone), Toned(f"  {leak_words.kind(one.kind)}{age}"))
    texts = [labelled("What", plain(one.detail))] if one.detail else []
    if why_not_swept:
        texts.append(_no_sweep(why_not_swept))
    if fix := leak_remedies.leftover_fix(one):
        texts.append(labelled("Fix", fix, "good", vital=True))
    return Detail(title, (*texts, *_now(does, leak_remedies.leftover_copies(one), keys)))


def unchecked_detail(name: str, reason: str, hint: str, keys: KeyName) -> Detail:
    """The detail of a table, or a kind of leftover, that wasn't checked."""
    texts = [labelled("Why", f"Not checked: {plain(reason)}", "notice")]
    if hint:
        texts.append(labelled("Fix", plain(hint), "good", vital=True))
    return Detail((Toned(name, "notice"),), (*texts, *_now((), leak_remedies.hint_copies(hint), keys)))


def test_detail(one: TestLeak) -> Detail:
    """The detail of a test that left rows."""
    tables = tuple((Toned(f"{rows:>7,}  {plain(name)}"),) for name, rows in one.tables)
    texts = [labelled("How", f"{leak_words.known_by(one)}{f': {plain(one.detail)}' if one.detail else ''}")]
    if one.candidates:
        texts.append(Labelled("Of", tuple((Toned(plain(test)),) for test in one.candidates)))
    texts.append(Labelled("Rows", tables))
    if not one.test and not one.candidates:
        texts.append(labelled("Fix", leak_remedies.unknown_fix(one.detail), "good", vital=True))
    tone: Tone = "trouble" if is_certain(one) else "notice"
    title = (*named(one, tone), Toned(f"  {plural(one.rows, 'leaked row')}"))
    return Detail(title, tuple(texts))


def named(one: TestLeak | Attribution, tone: Tone = "") -> Line:
    """The test's own name before where it is, or that it isn't known."""
    if one.candidates:
        first = "one of " if len(one.candidates) > 1 else "perhaps "
        return (Toned(first, tone), names_of(one.candidates, tone))
    if not one.test:
        return (Toned(leak_words.UNKNOWN_TEST, tone or "quiet"),)
    name, place = map(plain, test_names.split(one.test))
    return (Toned(name, tone), *((Toned("  "), Toned(place, "quiet")) if place else ()))


def names_of(tests: Sequence[str], tone: Tone = "quiet") -> Toned:
    """The tests' own names, of which whole ones go where there is no room."""
    # A comma followed by a space ends a name: those of parameters don't.
    names = ", ".join(plain(test_names.split(test).name).replace(", ", ",") for test in tests)
    return Toned(names, tone, cut=shortened_names)


def found_lines(found: FoundRows, now: datetime) -> list[Line]:
    """The rows of a table that were read on demand: a line each."""
    if found.skipped:
        lines = [(Toned(f"Not read: {plain(one.reason)}", "notice"),) for one in found.skipped]
        return [*lines, *((Toned(plain(one.hint), "good"),) for one in found.skipped if one.hint)]
    if not found.rows:
        return [(Toned("No marked row is there any more.", "quiet"),)]
    head = f"{plural(len(found.rows), 'row')}{', there are more' if found.more else ''}, values shortened:"
    keys = [plain(", ".join(f"{name}={value}" for name, value in row.key)) for row in found.rows]
    room = max((len(key) for key in keys if len(key) <= _LONGEST_KEY), default=0)
    rows = zip(keys, found.rows, strict=True)
    return [(Toned(head, "quiet"),), *(_found_line(key.ljust(room), row, now) for key, row in rows)]


def _found_line(key: str, row: FoundRow, now: datetime) -> Line:
    marked = ", ".join(f"{name}={value}" for name, value in row.marked if (name, value) not in row.key)
    age = "" if row.at is None else f"{durations.in_words(max(0.0, (now - row.at).total_seconds()))} old"
    tests = ", ".join(plain(test_names.split(test).name) for test in row.tests)
    parts: list[Toned] = [Toned(key)] if key else []
    more: tuple[tuple[str, Tone], ...] = ((plain(marked), "literal"), (age, "quiet"), (tests, ""))
    for text, tone in more:
        if text:
            parts += [Toned("  ")] if parts else []
            parts.append(Toned(text, tone))
    return tuple(parts)


def _left_by(attribution: Sequence[Attribution]) -> Iterator[Line]:
    for one in attribution[:_MOST_TESTS]:
        known = "" if one.confidence == "unknown" else f" ({leak_words.known_by(one)})"
        how = f"  {plural(one.rows, 'row')}{known}"
        why = f": {plain(one.detail)}" if one.detail and not one.test else ""
        yield (*named(one), Toned(f"{how}{why}", "quiet"))
    if len(attribution) > _MOST_TESTS:
        yield (Toned(f"and {len(attribution) - _MOST_TESTS:,} more", "quiet"),)


def _swept_from(leak: TableLeak, now: datetime, min_age_s: float) -> str:
    """From when on a sweep takes all the rows, and which time counts; empty if it does now."""
    known = [at for at in (leak.committed, leak.newest) if at is not None]
    if not known:
        return "never by age: no stamp, created_at or commit tells how old they are; minimum age 0 takes them"
    until = max(known) + timedelta(seconds=min_age_s)
    if until <= now:
        return ""
    at, age = clock(max(known)), durations.in_words(min_age_s)
    if leak.committed is None or leak.committed < max(known):
        return f"from {clock(until)} on, {age} after the newest of them ({at})"
    instead = "" if leak.newest is None else ", not the time in the row"
    return f"from {clock(until)} on, {age} after their last commit ({at}): that counts{instead}"


def _no_sweep(why: str) -> Labelled:
    return labelled("Sweep", f"none: {plain(why)}", "notice", vital=True)


def _ages(leak: TableLeak, now: datetime) -> str:
    if leak.oldest is None:
        return "" if leak.newest is None else f"newest {in_full(leak.newest)}"
    oldest = durations.in_words(max(0.0, (now - leak.oldest).total_seconds()))
    newest = "" if leak.newest in (None, leak.oldest) else f", newest {in_full(leak.newest)}"
    committed = ""
    if leak.committed is not None and leak.committed > (leak.newest or leak.oldest):
        ago = durations.in_words(max(0.0, (now - leak.committed).total_seconds()))
        committed = f"; last committed {ago} ago"
    return f"{oldest}: oldest {in_full(leak.oldest)}{newest}{committed}"


def _now(does: Sequence[str], copies: Sequence[Copyable], keys: KeyName) -> list[Labelled]:
    lines: list[Line] = [(Toned(" · ".join(does), "notice"),)] if does else []
    lines += [(Toned(f"{keys('copy')} copies  ", "notice"), Toned(plain(one.text))) for one in copies[:1]]
    return [Labelled(NOW, tuple(lines), vital=True)] if lines else []
