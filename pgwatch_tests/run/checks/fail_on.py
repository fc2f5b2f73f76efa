"""The gate of a run: which findings `--fail-on` fails on, and the verdict. Pure.

The words are those of `leaks --fail-on` and of `locks`, and `hang`: `blocked=2s,deadlock,hang,rows,schemas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks import gate
from pgwatch_tests.leaks.gate import FindingKind, Gate
from pgwatch_tests.leaks.model import LEFTOVER_NOUNS, LeakReport
from pgwatch_tests.record.model import DeadlockEvent, WaitEvent
from pgwatch_tests.record.plugin_findings import PluginSessions
from pgwatch_tests.record.results import RunFinding
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural

_DEFAULT_BLOCKED_S = 1.0
"""As `locks --min-wait`."""
RUN_WORDS = ("blocked", "deadlock", "hang")
"""The words that are none of `leaks --fail-on`."""
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class FailOn:
    """What fails a run whose command has passed."""

    words: tuple[str, ...] = ()
    blocked_s: float | None = None
    """A wait of so many seconds; None: no wait does."""
    deadlock: bool = False
    hang: bool = False
    leaks: Gate = field(default_factory=lambda: Gate(frozenset()))

    def __bool__(self) -> bool:
        return bool(self.words)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known after a run. None: it wasn't recorded, or checked."""

    waits: Sequence[WaitEvent] | None = None
    deadlocks: Sequence[DeadlockEvent] = ()
    unwatched_s: float = 0.0
    recording_trouble: str = ""
    """Why the recording ends too early; empty if it doesn't."""
    hangs: Sequence[Hang] | None = None
    leaks: LeakReport | None = None
    leaks_may_be_older: bool = False
    """There was no baseline: what is found may have been there before the run."""
    plugin: PluginSessions | None = None
    """What the pytest plugin found; no gate of ours fails on it, `--pgwatch=fail` does. None: it was off."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, what was found, and sentences on what is missing for a verdict."""

    verdict: Verdict
    findings: tuple[RunFinding, ...]
    missing: tuple[str, ...]


def parse(text: str) -> FailOn:
    """Returns what the words name. Raises ValueError for one that is none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError("names no kind")
    blocked_s: float | None = None
    seen: set[str] = set()
    kinds: list[FindingKind] = []
    for word in words:
        name, equals, value = word.lower().replace("-", "_").partition("=")
        if name == "blocked":
            blocked_s = durations.parse(value) if equals else _DEFAULT_BLOCKED_S
        elif not equals and name.removesuffix("s") in ("deadlock", "hang"):
            seen.add(name.removesuffix("s"))
        else:
            if name == "all":
                seen |= {*RUN_WORDS}
                blocked_s = _DEFAULT_BLOCKED_S if blocked_s is None else blocked_s
            kinds += _kinds(word)
    leaks = Gate(frozenset(kinds))
    return FailOn(tuple(words), blocked_s, "deadlock" in seen, "hang" in seen, leaks)


def _kinds(word: str) -> tuple[FindingKind, ...]:
    try:
        return gate.findings_named(word)
    except ValueError as error:
        raise ValueError(str(error).replace("known are ", f"known are {', '.join(RUN_WORDS)}, ")) from None


def judge(fail_on: FailOn, known: Evidence) -> Judgement:
    """Returns the verdict: findings win over what couldn't be checked."""
    findings = (*_blocking(fail_on, known), *_leaks(fail_on.leaks, known))
    missing = tuple(_missing(fail_on, known))
    verdict: Verdict = "findings" if findings else "incomplete" if missing else "clean"
    return Judgement(verdict, findings, missing)


def _blocking(fail_on: FailOn, known: Evidence) -> list[RunFinding]:
    found = []
    if fail_on.blocked_s is not None:
        # The same two over the same object are one finding, told by their longest wait.
        alike: dict[tuple[str, str, str], list[float]] = {}
        for wait in sorted(known.waits or (), key=lambda wait: -wait.waited_s):
            if wait.waited_s >= fail_on.blocked_s:
                blocker = wait.roots[0].side.who if wait.roots else "a session that is gone"
                alike.setdefault((wait.waiter.who, blocker, wait.target), []).append(wait.waited_s)
        for (waiter, blocker, target), waits_s in list(alike.items())[:_MOST_NAMED]:
            of_several = f", the longest of {len(waits_s):,} waits" if len(waits_s) > 1 else ""
            waited = f"waited {durations.in_words(waits_s[0])} for {blocker}"
            found.append(RunFinding("blocked", f"{waiter} {waited}: {target}{of_several}"))
        unnamed = sum(map(len, list(alike.values())[_MOST_NAMED:]))
        if unnamed:
            found.append(RunFinding("blocked", f"{plural(unnamed, 'wait')} more"))
    if fail_on.deadlock:
        for deadlock in known.deadlocks[:_MOST_NAMED]:
            names = " and ".join(dict.fromkeys(member.side.who for member in deadlock.members))
            found.append(RunFinding("deadlock", f"deadlock between {names}"))
    if fail_on.hang:
        # That nobody did anything for a while is worth a word, and no fault of a suite that passed.
        blocked = [hang for hang in known.hangs or () if hang.kind == "blocked"]
        found += [
            RunFinding("hang", hang.text.partition("\n")[0].removeprefix("hang: "))
            for hang in blocked[:_MOST_NAMED]
        ]
    return found


def _leaks(leaks: Gate, known: Evidence) -> list[RunFinding]:
    report = known.leaks
    if report is None or known.leaks_may_be_older:
        return []
    found = []
    if leaks.fails_on_rows(report.total):
        tables = [f"{leak.schema}.{leak.table}" for leak in report.tables]
        more = f" and {len(tables) - 3} more" if len(tables) > 3 else ""
        found.append(
            RunFinding("rows", f"{plural(report.total, 'leaked row')} in {', '.join(tables[:3])}{more}")
        )
    for kind in sorted(leaks.kinds):
        names = [one.name for one in report.leftovers if one.kind == kind]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            noun = LEFTOVER_NOUNS[kind][len(names) > 1]
            found.append(RunFinding(kind, f"{len(names)} {noun}: {', '.join(names[:3])}{more}"))
    return found


def _missing(fail_on: FailOn, known: Evidence) -> list[str]:
    missing = []
    if fail_on.blocked_s is not None or fail_on.deadlock:
        if known.waits is None:
            missing.append("waits and deadlocks weren't recorded")
        elif known.recording_trouble:
            missing.append("waits and deadlocks weren't recorded to the end")
        elif known.unwatched_s:
            gap = durations.in_words(known.unwatched_s)
            missing.append(f"nobody watched for {gap}: waits and deadlocks of that time aren't known")
    if fail_on.hang and known.hangs is None:
        missing.append("hangs weren't looked for: --hang does")
    if fail_on.leaks.fail_on:
        if known.leaks is None:
            missing.append("leaks weren't checked")
        elif known.leaks_may_be_older and _has_any(fail_on.leaks, known.leaks):
            missing.append("whether leaked rows and leftovers are older than the run isn't known")
        elif gate.verdict(fail_on.leaks, [known.leaks]) == "incomplete":
            missing.append("some tables or leftovers couldn't be checked")
    return missing


def _has_any(leaks: Gate, report: LeakReport) -> bool:
    return gate.verdict(leaks, [report]) != "clean"
