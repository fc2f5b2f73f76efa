"""A sweep as text for people: one screen of it, however many tables there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgwatch_tests.reports.render import digest, text_table
from pgwatch_tests.reports.render.screenful import LINES, WIDTH, Listed, ScreenSection, fitted, wrapped
from pgwatch_tests.reports.sweeps import sweep_databases, sweep_lines, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_words import outcome
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases, TableRows
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle

_NARROWEST_NAME = 21


def table(sweeps: SweepReport | SweepsOfDatabases, verbose: bool = False) -> str:
    """What went, or would go, most first; why rows stay; what to do; and in one line what it comes to.

    It fits on a screen of 80 columns and 24 lines; the other formats name all. Of several databases: a row
    for each that has something to tell, and what they have in common once. `verbose`: all rows, the names of
    the others, and the report of each.
    """
    if isinstance(sweeps, SweepReport):
        return _text(sweeps)
    if len(sweeps.sweeps) == 1 and not sweeps.not_swept:
        return _text(sweeps.sweeps[0])
    told = sweep_databases.digest(sweeps, plain)
    if not verbose:
        return digest.screen_text(told)
    reports = sweep_databases.telling(sweeps)
    return digest.whole_text(told, ((sweep_words.place(report), _text(report)) for report in reports))


def _text(report: SweepReport) -> str:
    end = _end(report)
    sections = _sections(report)
    room = LINES - len(end)
    whole = [section.lines(section.items) for section in sections]
    if sum(len(lines) + 1 for lines in whole) > room:
        # Where room is short, only a table has an empty line behind it, and so has all that isn't the end.
        tables = sum(isinstance(section, _Deleted) for section in sections)
        blocks = fitted(sections, room - max(1, tables + 1))
        sentences = [line for lines in blocks[tables:] for line in lines]
        whole = [*blocks[:tables], *([sentences] if sentences else [])]
    return "\n\n".join("\n".join(block) for block in (*whole, end))


@dataclass(frozen=True, slots=True)
class _Deleted:
    """The tables that rows go from, most rows first, with a line for the rest and one for all."""

    report: SweepReport
    tables: Sequence[TableRows]
    weight: int = 2

    @property
    def items(self) -> int:
        return len(self.tables)

    def lines(self, shown: int) -> list[str]:
        dry_run = self.report.dry_run
        if not shown:
            rows = plural(sum(one.total for one in self.tables), "row")
            return [f"{rows} of {plural(len(self.tables), 'table')} {sweep_words.ending('rows', dry_run)}"]
        names = [plain(sweep_words.table_name(one.schema, one.table)) for one in self.tables[:shown]]
        cells = [_cells((one,), sweep_remarks.rows_of(one)) for one in self.tables[:shown]]
        for name, some in (
            (f"{self.items - shown:,} more", self.tables[shown:]),
            (f"all {self.items:,} tables", self.tables if self.items > 1 else ()),
        ):
            if some:
                names.append(name)
                cells.append(_cells(some, f"{sum(one.total for one in some):,}"))
        # Where none goes unmarked, a column of noughts says nothing.
        columns = 4 if any(one.unmarked for one in self.tables) else 3
        seeds = "New" if self.report.any_rows else "Marked"
        heads = ("Rows", seeds, "Dependent", "No marker")[:columns]
        lines = [heads, *(line[:columns] for line in cells)]
        room = WIDTH - sum(max(map(len, column)) + 2 for column in zip(*lines, strict=True))
        return text_table.table(
            ("Would be deleted from" if dry_run else "Deleted from", *heads),
            "l" + "r" * columns,
            [
                (shortened_middle(name, max(room, _NARROWEST_NAME)), *line)
                for name, line in zip(names, lines[1:], strict=True)
            ],
        ).split("\n")


def _sections(report: SweepReport) -> list[ScreenSection]:
    causes = report.causes
    hints = sweep_words.hints(report)
    kept = sum(kept.rows for kept in report.kept)
    sections: list[ScreenSection] = []
    if tables := sorted(sweep_words.gone(report), key=lambda one: (-one.total, one.schema, one.table)):
        sections.append(_Deleted(report, tables))
    if beside := sweep_remarks.beside(report, plain):
        sections.append(_with_rows(beside, "such", sweep_remarks.beside_in_all(report)))
    if left_by := sweep_remarks.left_by(report, plain):
        rows = plural(sum(rows for _, rows in left_by), "row")
        sections.append(_with_rows(left_by, "tests", f"{plural(len(left_by), 'test')} left {rows}"))
    if causes:
        in_all = f"{plural(kept, 'row')} stay, for {plural(len(causes), 'cause')}"
        sections.append(
            Listed(
                "",
                [sweep_remarks.why_rows_stay(cause, plain) for cause in causes],
                lambda shown: sweep_remarks.more_causes(report, shown),
                in_all,
                weight=3,
            )
        )
    if orphans := sorted(report.orphans, key=lambda one: (one.removed, one.may_stay)):
        lines = [sweep_lines.orphan(one, report.dry_run) for one in orphans]
        in_all = f"{plural(len(lines), 'thing')} left behind besides rows: --format json names them"
        sections.append(Listed("Left behind besides rows:", lines, _rest_of(len(lines)), in_all))
    if hints:
        sections.append(Listed("What to do about what is kept:", hints, _rest_of(len(hints)), "", weight=0))
    if unchecked := [plain(sentence) for sentence in report.not_checked]:
        in_all = f"{plural(len(unchecked), 'thing')} not checked: --format json names them"
        sections.append(Listed("Not checked:", unchecked, _rest_of(len(unchecked)), in_all))
    return sections


def _with_rows(sentences: Sequence[tuple[str, int]], nouns: str, in_all: str) -> Listed:
    """Sentences that are each about a number of rows; the rest is summed up."""

    def rest(shown: int) -> str:
        rows = plural(sum(rows for _, rows in sentences[shown:]), "row")
        return f"and {len(sentences) - shown:,} more {nouns}, {rows}"

    return Listed("", [sentence for sentence, _ in sentences], rest, in_all)


def _end(report: SweepReport) -> list[str]:
    """What is always said: what it comes to, what to mind about it, and what was looked for."""
    sentences = [outcome(report), *sweep_remarks.notes(report, plain)]
    if report.error:
        sentences.insert(0, f"Ended early: {plain(report.error)}")
    sentences += [". ".join(sweep_words.scope(report, plain)), sweep_words.left_alone(report.kinds)]
    return [line for sentence in sentences for line in wrapped(sentence, rest="  ")]


def _rest_of(items: int) -> Callable[[int], str]:
    """Says how many of them aren't shown, and where they are."""
    return lambda shown: f"and {items - shown:,} more; --format json has all"


def _cells(tables: Sequence[TableRows], rows: str) -> tuple[str, ...]:
    return (
        rows,
        f"{sum(table.marked for table in tables):,}",
        f"{sum(table.dependent for table in tables):,}",
        f"{sum(table.unmarked for table in tables):,}",
    )
