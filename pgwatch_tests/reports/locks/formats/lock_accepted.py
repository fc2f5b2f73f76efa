"""How a file of accepted findings served a gate on locks, in words and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pgwatch_tests.accepted_findings import ANY_TEST, Finding
from pgwatch_tests.locks.gate import AcceptanceUse
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_NAMED = 20


def lines(use: AcceptanceUse, shown: Callable[[str], str] = plain) -> list[str]:
    """How many findings are new and how many accepted, which these are, and what was not seen any more."""
    counts = f"{plural(len(use.new), 'new finding')}, {len(use.accepted):,} accepted"
    sentences = [f"{counts}: {named(use.new, shown)}" if use.new else counts]
    if use.accepted:
        sentences.append(f"Accepted, not counted: {named(use.accepted, shown)}")
    if use.gone:
        sentences.append(f"Accepted, but not seen in this watch: {named(use.gone, shown)}")
    return sentences


def named(findings: Iterable[Finding], shown: Callable[[str], str] = plain) -> str:
    """`same row, accounts (t.py::test_a); deadlock, users (unknown test)`."""
    words = []
    for one in findings:
        test = {ANY_TEST: "any test", "": "unknown test"}.get(one.test) or shown(one.test)
        words.append(f"{shown(one.kind.replace('_', ' '))}, {shown(one.place)} ({test})")
    more = len(words) - _MOST_NAMED
    return "; ".join(words[:_MOST_NAMED]) + (f"; and {more:,} more" if more > 0 else "")


def for_json(use: AcceptanceUse | None) -> dict[str, object] | None:
    """`{new, known, gone}`, lists of `{kind, place, test}`; None if nobody asked."""
    if use is None:
        return None
    return {
        key: [{"kind": one.kind, "place": one.place, "test": one.test or None} for one in found]
        for key, found in (("new", use.new), ("known", use.accepted), ("gone", use.gone))
    }
