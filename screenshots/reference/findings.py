"""Tables of findings: kinds of leftovers, words of `--fail-on`, reasons to keep, findings about shards."""

from __future__ import annotations

from typing import get_args

from pgwatch_tests.junit.summary import FindingKind as ShardFinding
from pgwatch_tests.leaks import gate
from pgwatch_tests.leaks.model import LEFTOVER_NOUNS
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep import model
from screenshots import query_list
from screenshots.reference.cells import table


def leftovers() -> str:
    """The kinds of leftovers: what each is, when it is looked for, and its query."""
    rows = []
    for kind in gate.ALL_KINDS:
        query = query_list.FOLDER / "leftovers" / f"{kind}.sql"
        asked = query_list.first_line(query) if query.exists() else "compares with the baseline"
        rows.append((f"`{kind}`", LEFTOVER_NOUNS[kind][0], _when(kind), asked))
    return table(("kind", "what is left", "looked for", "question to the server"), rows)


def _when(kind: str) -> str:
    if kind in gate.DEFAULT_KINDS:
        return "always"
    return "with `--since`" if kind in gate.SINCE_KINDS else f"with `--kinds {kind}` or `all`"


def words() -> str:
    """The words of `--fail-on`, and which commands take each."""

    def named(kind: str) -> str:
        return LEFTOVER_NOUNS[kind][1] if kind in LEFTOVER_NOUNS else ""  # type: ignore[index]

    default = set(gate.DEFAULT_FAIL_ON)
    rows = [
        ("`blocked=2s`", "a session was blocked for so long (default: 1 s)", "`run`, `report`", ""),
        ("`deadlock`", "a deadlock was seen", "`run`, `report`", ""),
        ("`hang`", "nothing went on for the time of `--hang`", "`run`, `report`", ""),
        ("`rows`", "rows of tests are left", "all", "yes"),
        ("`unread`", "columns aren't searched for markers: exit code 4", "all", ""),
        *((f"`{kind}`", named(kind), "all", "yes" if kind in default else "") for kind in gate.ALL_KINDS),
        ("`default`", "what the gate fails on without the option", "all", ""),
        ("`all`", "every kind", "all", ""),
    ]
    return table(("word", "fails if", "commands", "by default, in `leaks`"), rows)


def kept() -> str:
    """The reasons for which a sweep keeps something, in documents and in words, and what helps."""
    rows = []
    for reason in get_args(model.KeptReason):
        told = sweep_words.EXPLANATIONS[reason]
        rows.append((f"`{reason}`", told.words, "yes" if reason in model.WAITING else "", told.hint))
    return table(("reason", "in words", "passes by itself", "what to do"), rows)


def of_shards() -> str:
    """The findings of `junit` about shards and their files."""
    return ", ".join(f"`{kind}`" for kind in get_args(ShardFinding)) + "."
