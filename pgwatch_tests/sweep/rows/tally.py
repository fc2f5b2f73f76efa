"""Counts of deleted and kept rows, by leaf: of an attempt, of a batch, and of all batches of a pass. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.planned_catalog import TupleCounts
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.related_rows import Settled
from pgwatch_tests.sweep.plan.rules import IN_TIME, MARKED, TOO_YOUNG, YOUNG
from pgwatch_tests.sweep.rows.portions import Portion
from pgwatch_tests.sweep.rows.real_parents import RealParents


@dataclass(slots=True)
class Attempt:
    """One attempt to delete a portion in one transaction: what is left of it, and what is known so far."""

    portion: Portion
    lock_all: bool
    ask: frozenset[int]
    """The leaves of which it is asked whether rows refer to what goes."""
    in_turn: bool = False
    """Whether each DELETE is looked at before the next, since triggers may move what that is to delete."""
    meanwhile: Callable[[], None] = lambda: None
    """What else may be done while the server deletes."""
    stays: dict[int, Refusal] = field(default_factory=dict)
    """The clusters that were taken out of it."""
    moved: Counter[int] = field(default_factory=Counter)
    """Rows that triggers had changed before they were deleted, and those of `more_loose`, by leaf."""
    more_loose: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Rows that refer loosely and were changed by batches before this one: by leaf and foreign key."""
    unfound: dict[int, set[int]] = field(default_factory=dict)
    """Rows that were gone before their DELETE: triggers deleted them, or moved them to another partition."""
    elsewhere: dict[int, set[int]] = field(default_factory=dict)
    """Those of them that are in another partition."""
    effects: list[TupleCounts] = field(default_factory=list)
    statements: int = 2
    """How many are about its rows: those before and after all DELETEs, and what locks and deletes rows; those
    that are sent together count as one."""
    rows_done_s: float = 0.0
    """When the last of these had ended (monotonic)."""

    def note_unfound(self, leaf: int, tids: Collection[int]) -> None:
        """Takes note of rows that were gone before their DELETE."""
        if tids:
            self.unfound.setdefault(leaf, set()).update(tids)

    def leave_out(self, stays: Mapping[int, Refusal]) -> None:
        """Goes on without some clusters."""
        stays = {cluster: why for cluster, why in stays.items() if cluster not in self.stays}
        if stays:
            self.stays.update(stays)
            self.portion = self.portion.without(stays)


@dataclass(slots=True)
class BatchOutcome:
    """The outcome of a portion: which of its clusters went, stay, or are to be read again."""

    gone: Portion
    kept: list[tuple[Refusal, Portion]] = field(default_factory=list)
    changed: list[Portion] = field(default_factory=list)
    """The rows that changed since they were read: to be read again."""
    elsewhere: dict[int, set[int]] = field(default_factory=dict)
    """Rows that triggers moved to another partition: they are still there."""
    effects: list[TupleCounts] = field(default_factory=list)
    """The rows that triggers wrote besides, by table."""
    more_loose: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Rows changed as they referred loosely, besides those of the plan: by leaf and foreign key."""
    longest_s: float = 0.0
    """The longest transaction of it."""


@dataclass(slots=True)
class PassTally:
    """Counts of the rows that went, may go, or stay, over all batches of a pass."""

    bearing: frozenset[int]
    """The leaves of tables with marked rows."""
    marked: Counter[int] = field(default_factory=Counter)
    dependent: Counter[int] = field(default_factory=Counter)
    unmarked: Counter[int] = field(default_factory=Counter)
    """Those of the dependent that are of tables which bear markers."""
    kept: Counter[tuple[int, Refusal]] = field(default_factory=Counter)
    changed: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Rows that stay but refer to what goes, by leaf and foreign key."""
    planned: set[tuple[int, int]] = field(default_factory=set)
    """Rows that are to go, by leaf and tid, where any refer to each other without going together."""
    effects: dict[int, TupleCounts] = field(default_factory=dict)
    """The rows that triggers wrote besides."""
    clusters: int = 0
    in_spite_of_age: int = 0
    """How many of the rows that went, or may go, are young, and of a run whose lease has ended."""
    vanished: int = 0
    """Seeds that weren't as they were read, or that something unknown came to refer to."""
    left: dict[int, set[int]] = field(default_factory=dict)
    """Those, by leaf: left to another pass."""
    longest_s: float = 0.0
    real: set[int] = field(default_factory=set)
    """The leaves with real rows, because of which some stay."""
    staying: dict[int, set[int]] = field(default_factory=dict)
    """The rows that stay, as far as they were named."""
    also_refer: RealParents = field(default_factory=RealParents)
    """The dependent rows that go and refer to real rows that stay; of a dry run."""
    young: set[tuple[int, int]] = field(default_factory=set)
    """The rows that some stay for as too young: leaf, and when written (see `plan.young_rows`)."""
    held_back: int = 0
    """The marked rows that are old enough, and stay as too young with others."""

    @property
    def rows(self) -> int:
        """The number of rows that were deleted, or may be."""
        return self.marked.total() + self.dependent.total()

    @property
    def leaves(self) -> frozenset[int]:
        """Those that rows went from."""
        return frozenset(self.marked) | frozenset(self.dependent)

    def go(self, gone: Portion) -> None:
        """Counts what went, or may go."""
        for leaf, rows in gone.rows.items():
            marked = gone.marked(leaf)
            others = len(rows) - marked
            if marked:
                self.marked[leaf] += marked
            if others:
                self.dependent[leaf] += others
                if leaf in self.bearing:
                    self.unmarked[leaf] += others
        self.changed.update(
            (loose.leaf, loose.key) for _, loose in gone.loose if (loose.leaf, loose.tid) not in self.planned
        )
        self.clusters += len(gone)
        self.in_spite_of_age += gone.in_spite_of_age()

    def add_effects(self, effects: Iterable[TupleCounts]) -> None:
        """Counts what triggers wrote besides."""
        for one in effects:
            before = self.effects.get(one.oid, TupleCounts(one.oid, 0, 0, 0))
            self.effects[one.oid] = TupleCounts(
                one.oid,
                before.inserted + one.inserted,
                before.updated + one.updated,
                before.deleted + one.deleted,
                before.emptied or one.emptied,
            )

    def leave(self, seeds: Mapping[int, Collection[int]]) -> None:
        """Counts what is left to another pass: tids, by leaf."""
        for leaf, tids in seeds.items():
            self.vanished += len(tids)
            self.left.setdefault(leaf, set()).update(tids)

    def keep(self, stays: Portion, refusal: Refusal) -> None:
        """Counts what stays."""
        for leaf in stays.rows:
            self.keep_rows(leaf, refusal, stays.tids(leaf))

    def keep_settled(self, clusters: Clusters, settled: Settled) -> None:
        """Counts what stays of these clusters."""
        tids, flags = clusters.tids, clusters.flags
        self.real |= clusters.real
        self.young.update(settled.young)
        for (leaf, refusal), nodes in settled.kept.items():
            news = self.keep_rows(leaf, refusal, [tids[node] for node in nodes])
            if refusal == TOO_YOUNG:
                old = (node for node in nodes if flags[node] & (MARKED | YOUNG | IN_TIME) == MARKED)
                self.held_back += sum(tids[node] in news for node in old)

    def keep_rows(self, leaf: int, refusal: Refusal, tids: Iterable[int]) -> Collection[int]:
        """Counts rows that stay, each once: a cluster that stays may be come upon from several sides.

        Returns the tids of those that weren't counted before.
        """
        before = self.staying.setdefault(leaf, set())
        news = {*tids} - before
        before |= news
        if news:
            self.kept[leaf, refusal] += len(news)
        return news


def marked_leaves(stays: Portion) -> list[int]:
    """The leaves of which a marked row is among some clusters."""
    return [leaf for leaf in stays.rows if stays.marked(leaf)]


@dataclass(slots=True)
class Remembered:
    """The memory that passes of one sweep leave to the next pass."""

    referred_to: set[tuple[int, int]] = field(default_factory=set)
    """Marked rows (leaf, tid) of which it was found that something unknown refers to them."""
    refused: dict[tuple[int, int], tuple[int, Refusal]] = field(default_factory=dict)
    """Marked rows that were refused, by leaf and tid: xmin, and why. They aren't tried again."""
    hopeless: dict[int, Refusal] = field(default_factory=dict)
    """The leaves that no row was to be had from, however often it was tried."""
