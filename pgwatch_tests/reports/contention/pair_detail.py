"""The detail of a pair of tests: how long one blocked the other, their statements, and what to do. Pure."""

from __future__ import annotations

from pgwatch_tests.locks.contention.contention import Contention, Pair
from pgwatch_tests.locks.contention.ranking import BlockedTime
from pgwatch_tests.locks.contention.wait_record import RecordedWait, Side
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.reports.locks.test_labels import beside, label_of_test
from pgwatch_tests.reports.render.detail_text import Detail, Labelled, labelled
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_sql import toned_sql_line
from pgwatch_tests.text.toned_text import Toned, text_of


def pair_detail(seen: Contention, pair: Pair) -> Detail | None:
    """The detail of a pair of `seen`; None if it isn't among its pairs. The longest wait stands for all."""
    blocked = dict(seen.pairs.rows).get(pair)
    if blocked is None:
        return None
    blocker, waiter = map(label_of_test, (pair.blocker, pair.waiter))
    title = (
        Toned(blocker.name, "root"),
        Toned(_in_database(pair.blocker_database), "quiet"),
        Toned(f"  {_figures(seen, blocked)}"),
        Toned(text_of(beside(blocker)).removeprefix(blocker.name), "quiet"),
    )
    where = f"{_in_database(pair.waiter_database)}{text_of(beside(waiter)).removeprefix(waiter.name)}"
    # Both names stay whole where one line has no room for them.
    whom = Labelled("Whom", ((Toned(waiter.name), Toned(where, "quiet")),), vital=True)
    wait = seen.pair_waits.get(pair)
    return Detail(title, (whom, *(() if wait is None else _texts(wait))))


def _in_database(database: str) -> str:
    return f" in {plain(database)}" if database else ""


def _figures(seen: Contention, blocked: BlockedTime) -> str:
    total, longest = durations.in_words(blocked.blocked_s), durations.in_words(blocked.longest_s)
    # A wait that is older than the watch counts from its beginning on: more than the sum.
    since = f" since {clock(seen.since)}" if blocked.longest_s > blocked.blocked_s else ""
    began = " begun before" if since else ""
    return f"blocks for {total}{since} in {plural(blocked.waits, 'wait')}, the longest {longest}{began}"


def _texts(wait: RecordedWait) -> list[Labelled]:
    behind = f", behind {plain(wait.direct)}" if wait.direct else ""
    texts = [
        labelled("Why", plain(wait.explanation)),
        labelled("On", f"{plain(wait.target)}{behind}, seen at {clock(wait.seen_at)}"),
    ]
    if better := advice_afterwards(wait.advice):
        texts.append(labelled("Fix", plain(better), "good", vital=True))
    return [*texts, *_statement("Ran", wait.blocker), *_statement("Waits", wait.waiter)]


def _statement(label: str, side: Side) -> list[Labelled]:
    return [Labelled(label, (toned_sql_line(side.statement),))] if side.statement else []
