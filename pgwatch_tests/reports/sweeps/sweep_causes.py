"""A sweep by cause: what goes, what stays and why, what needs somebody; each with its tables. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pgwatch_tests.reports.leaks.leak_remedies import Copyable, removals
from pgwatch_tests.reports.render.detail_text import Detail, Labelled, Line, labelled
from pgwatch_tests.reports.sweeps import sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import (
    WAITING,
    AlsoReferring,
    KeptReason,
    Orphan,
    SweepReport,
    TableRows,
)
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import at_least, named, plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Tone, Toned

Group = Literal["goes", "stays", "needs you"]

_MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class CauseLine:
    """One cause of one group: how many rows, of which objects, and what becomes of them. Text is plain."""

    group: Group
    key: str
    what: str
    number: int | None
    """Rows, or objects of another kind; None where it isn't known."""
    objects: tuple[str, ...]
    """Names with numbers, most first: `public.users 3`."""
    so: str
    """What to know, or to do, about it."""
    tone: Tone
    listed: tuple[str, ...] = ()
    """Each object in full, for the detail."""
    copies: tuple[Copyable, ...] = ()
    """The statements that do what somebody has to, if there are any."""
    to_ask: tuple[SweepPart, ...] = ()
    """What stays, but goes once somebody who has seen what it is says so."""
    is_part: bool = False
    """Whether it is about rows that the line above counts: it has no number of its own."""
    done: bool = False
    """Whether the sweep is over, or only planned."""

    @property
    def outcome(self) -> str:
        """`goes`, once the sweep is over `went`; `stays`, `needs you`."""
        return "went" if self.done and self.group == "goes" else self.group

    @property
    def detail(self) -> Detail:
        """All of it."""
        number = "" if self.number is None else f"{self.number:,}  "
        title: Line = (Toned(f"{number}{self.what}", self.tone), Toned(f"  {self.outcome}", "quiet"))
        texts = []
        if self.so:
            needs = self.group == "needs you"
            label, tone = ("Fix", "good") if needs else ("So", "")
            texts.append(labelled(label, self.so, tone, vital=True))  # type: ignore[arg-type]
        listed = self.listed or self.objects
        lines: list[Line] = [(Toned(one),) for one in listed[:_MOST_LISTED]]
        if len(listed) > _MOST_LISTED:
            lines.append((Toned(f"and {len(listed) - _MOST_LISTED:,} more", "quiet"),))
        return Detail(title, (*texts, *((Labelled("In", tuple(lines)),) if lines else ())))


def cause_lines(report: SweepReport) -> list[CauseLine]:
    """The lines of all groups: what goes, what stays by itself for a while, what needs somebody."""
    found = [*_going(report), *_also_referring(report), *_changing(report), *_kept(report)]
    found += [*_orphans(report), *_not_checked(report)]
    order: tuple[Group, ...] = ("goes", "stays", "needs you")
    done = not report.dry_run
    return [replace(one, done=done) for one in sorted(found, key=lambda one: order.index(one.group))]


def _going(report: SweepReport) -> Iterator[CauseLine]:
    gone = sweep_words.gone(report)
    kinds: tuple[tuple[str, Callable[[TableRows], int], str, Tone], ...] = (
        ("marked", lambda one: one.marked, "", ""),
        (
            "depends on marked rows",
            lambda one: one.dependent - one.unmarked,
            "foreign keys refer to rows that go",
            "",
        ),
        (
            "unmarked, by CASCADE",
            lambda one: one.unmarked,
            "ON DELETE CASCADE reaches them; others of these tables bear markers: --keep-unmarked keeps them",
            "trouble",
        ),
    )
    before = "" if report.dry_run else " before"
    large = {(one.schema, one.table): one for one in gone if sweep_remarks.is_large_part(one)}
    for what, rows_of, so, tone in kinds:
        tables = sorted(((rows_of(one), one) for one in gone if rows_of(one)), key=lambda one: -one[0])
        if not tables:
            continue
        halves = [
            plain(sweep_words.table_name(one.schema, one.table))
            for _, one in tables
            if (one.schema, one.table) in large
        ]
        most = f"half or more of {named(halves)}" if halves else ""
        yield CauseLine(
            "goes",
            f"rows {what}",
            what,
            sum(rows for rows, _ in tables),
            tuple(f"{plain(sweep_words.table_name(one.schema, one.table))} {rows:,}" for rows, one in tables),
            "; ".join(filter(None, (so, most))),
            tone or ("warning" if most else ""),
            tuple(
                f"{rows:>9,}  {plain(sweep_words.table_name(one.schema, one.table))}"
                f"{f', of about {max(one.of, one.total):,}{before}' if one.of else ''}"
                for rows, one in tables
            ),
        )


def _also_referring(report: SweepReport) -> Iterator[CauseLine]:
    """The dependent rows that go though they refer to rows that stay, too: real data, perhaps.

    The line of dependent rows, above this one, counts them. A row may refer to several tables: of a table it
    is only known that at least so many do.
    """
    if not report.also_refer:
        return
    by_table: defaultdict[str, list[AlsoReferring]] = defaultdict(list)
    for one in report.also_refer:
        by_table[plain(sweep_words.table_name(one.schema, one.table))].append(one)
    rows = {name: max(one.rows for one in found) for name, found in by_table.items()}
    is_all = {name: len(found) == 1 and not found[0].at_least for name, found in by_table.items()}
    names = sorted(rows, key=lambda name: -rows[name])
    number = at_least(sum(rows.values()), all(is_all.values()))
    whose = "dependent ones" if any(one.unmarked for one in sweep_words.gone(report)) else "these"
    sentences = tuple(
        sweep_remarks.also_refers(one, report.dry_run, plain) for name in names for one in by_table[name]
    )
    yield CauseLine(
        "goes",
        "also refer",
        f"{number} of {whose} may be real data",
        None,
        tuple(f"{name} {at_least(rows[name], is_all[name])}" for name in names),
        sentences[0] if len(sentences) == 1 else "they also refer to real rows, which stay",
        "warning",
        tuple(
            line
            for name in names
            for one in by_table[name]
            for line in _also_listed(name, one, is_told=len(sentences) == 1, dry_run=report.dry_run)
        ),
        is_part=True,
    )


def _also_listed(name: str, one: AlsoReferring, *, is_told: bool, dry_run: bool) -> Iterator[str]:
    """The lines of the detail about such rows: the sentence, unless it is told above, and a few keys."""
    if not is_told:
        yield sweep_remarks.also_refers(one, dry_run, plain)
    elif not one.examples:
        yield f"{name} {at_least(one.rows, not one.at_least)}"
    if one.examples:
        others = at_least(one.rows - len(one.examples), not one.at_least)
        more = "" if one.rows == len(one.examples) and not one.at_least else f" and {others} more"
        yield f"{name}: {'; '.join(map(plain, one.examples))}{more}"


def _changing(report: SweepReport) -> Iterator[CauseLine]:
    if report.changed:
        lines = tuple(sweep_remarks.changed(one, report.dry_run, plain) for one in report.changed)
        yield CauseLine(
            "goes",
            "changed",
            "changed, not deleted",
            sum(one.rows for one in report.changed),
            tuple(
                f"{plain(sweep_words.table_name(one.schema, one.table))} {one.rows:,}"
                for one in sorted(report.changed, key=lambda one: -one.rows)
            ),
            "they refer to rows that go",
            "warning",
            lines,
        )
    if report.side_effects:
        lines = tuple(sweep_remarks.side_effects(one, plain) for one in report.side_effects)
        rows = sum(one.inserted + one.updated + one.deleted for one in report.side_effects)
        yield CauseLine("goes", "triggers", "written by triggers", rows, lines, "", "warning", lines)


def _kept(report: SweepReport) -> Iterator[CauseLine]:
    for cause in report.causes:
        rows: Counter[str] = Counter()
        for kept in cause.kept:
            rows[sweep_words.table_name(kept.schema, kept.table) or "rows"] += kept.rows
        hint, detail = sweep_words.hint(cause.reason, cause.detail), plain(cause.detail)
        if cause.reason == "too_young" and report.youngest is not None:
            hint = f"{sweep_remarks.which_is_youngest(report.youngest, plain)}; {hint}"
        yield CauseLine(
            _group_of(cause.reason),
            f"kept {cause.reason} {cause.detail}",
            sweep_words.explained(cause.reason).words,
            cause.rows,
            tuple(f"{plain(name)} {number:,}" for name, number in rows.most_common()),
            f"{detail}: {hint}" if detail else hint,
            _tone_of(cause.reason),
            tuple(f"{number:>9,}  {plain(name)}" for name, number in rows.most_common()),
        )


def _orphans(report: SweepReport) -> Iterator[CauseLine]:
    removed: defaultdict[str, list[Orphan]] = defaultdict(list)
    kept: defaultdict[tuple[str, KeptReason | None], list[Orphan]] = defaultdict(list)
    for one in report.orphans:
        if one.removed:
            removed[one.kind].append(one)
        else:
            kept[one.kind, one.reason].append(one)
    for kind, orphans in removed.items():
        yield _orphan_line("goes", f"orphans {kind}", _kinds(orphans), orphans, "", "")
    for (kind, reason), orphans in kept.items():
        words = "kept" if reason is None else sweep_words.explained(reason).words
        hint = "" if reason is None else sweep_words.hint(reason, orphans[0].detail)
        group = "stays" if all(one.may_stay for one in orphans) else "needs you"
        tone: Tone = "quiet" if group == "stays" else _tone_of(reason)
        yield _orphan_line(
            group,  # type: ignore[arg-type]
            f"orphans {kind} {reason}",
            f"{_kinds(orphans)} {words}",
            orphans,
            hint,
            tone,
        )


def _orphan_line(group: Group, key: str, what: str, orphans: list[Orphan], so: str, tone: Tone) -> CauseLine:
    names = tuple(plain(one.name) for one in orphans)
    removes = removals(orphans[0].kind, [one.name for one in orphans]) if group == "needs you" else ()
    to_ask = tuple(
        SweepPart(one.kind, one.name)
        for one in orphans
        if (one.kind, one.reason) in (("schemas", "unleased_name"), ("prepared", "too_young"))
    )
    return CauseLine(
        group, key, what, len(orphans), names, so, tone, tuple(map(_described, orphans)), removes, to_ask
    )


def _described(one: Orphan) -> str:
    age = "" if one.age_s is None else f", {durations.in_words(one.age_s)} old"
    # Of what is too young the detail may be just that.
    age = "" if age and f"{one.detail};".startswith(f"{age[2:]};") else age
    return f"{plain(one.name)}{age}{f', {plain(one.detail)}' if one.detail else ''}"


def _kinds(orphans: list[Orphan]) -> str:
    kind = sweep_words.kind(orphans[0].kind)
    return kind if len(orphans) == 1 else plural(len(orphans), kind).split(" ", 1)[1]


def _not_checked(report: SweepReport) -> Iterator[CauseLine]:
    sentences: Iterable[str] = dict.fromkeys(report.not_checked)
    for sentence in sentences:
        words = plain(sentence)
        yield CauseLine(
            "needs you", f"unchecked {sentence}", "not checked", None, (words,), "", "notice", (words,)
        )


def _group_of(reason: KeptReason) -> Group:
    return "stays" if reason in WAITING else "needs you"


def _tone_of(reason: KeptReason | None) -> Tone:
    if reason is None or reason in WAITING:
        return "quiet"
    return "notice" if reason == "not_checked" else "warning"
