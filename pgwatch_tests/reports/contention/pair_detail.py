"""The detail of a pair of tests: how long one blocked the other, their statements, and what to do. Pure."""

from __future__ import annotations

from pgwatch_tests.identity import test_names
from pgwatch_tests.locks.contention.contention import Contention, Pair
from pgwatch_tests.locks.contention.ranking import BlockedTime
from pgwatch_tests.locks.contention.wait_record import RecordedWait, Side
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.reports.contention.contention_table import pair_names
from pgwatch_tests.reports.render.detail_text import Detail, Labelled, labelled
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_sql import toned_sql_line
from pgwatch_tests.text.toned_text import Toned


def pair_detail(seen: Contention, pair: Pair) -> Detail | None:
    """The detail of a pair of `seen`; None if it isn't among its pairs. The longest wait stands for all."""
    blocked = dict(seen.pairs.rows).get(pair)
    if blocked is None:
        return None
    blocker, waiter = (test_names.split(one) for one in pair_names(pair))
    # The tests' own names come first: where there is one line only, their files are left out.
    files = " · ".join(dict.fromkeys(filter(None, (blocker.place, waiter.place))))
    title = (
        Toned(blocker.name, "root"),
        Toned(f" blocks {waiter.name}"),
        Toned(f"  {_figures(blocked)}", "quiet"),
        Toned(f"  {files}" if files else "", "quiet"),
    )
    wait = seen.pair_waits.get(pair)
    return Detail(title, () if wait is None else tuple(_texts(wait)))


def _figures(blocked: BlockedTime) -> str:
    total, longest = durations.in_words(blocked.blocked_s), durations.in_words(blocked.longest_s)
    return f"{total} in {plural(blocked.waits, 'wait')}, the longest {longest}"


def _texts(wait: RecordedWait) -> list[Labelled]:
    texts = [
        labelled("Why", plain(wait.explanation)),
        labelled("On", f"{plain(wait.target)}, seen at {clock(wait.seen_at)}"),
    ]
    if better := advice_afterwards(wait.advice):
        texts.append(labelled("Fix", plain(better), "good", vital=True))
    return [*texts, *_statement("Holds", wait.blocker), *_statement("Waits", wait.waiter)]


def _statement(label: str, side: Side) -> list[Labelled]:
    return [Labelled(label, (toned_sql_line(side.statement),))] if side.statement else []
