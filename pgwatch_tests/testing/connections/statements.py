"""Statements of tests by their text: whether they write, end a transaction, or change their session."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from pgwatch_tests.testing.connections.writes import calls_of, hides_write

StateKind = Literal["setting", "listen", "temporary", "lock"]
"""What of a session outlives its transactions."""
STATE_KINDS: frozenset[StateKind] = frozenset(get_args(StateKind))

_HEAD = re.compile(
    r"""(?:\s|/\*.*?\*/|--[^\n]*(?:\n|\Z))*
    (?: (?P<setting>SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)
            (?:SESSION\s+(?!AUTHORIZATION\b|CHARACTERISTICS\b))?(?P<name>[\w.]+|"[^"]+"))
      | (?P<resets>(?:RESET|DISCARD)\b)
      | (?P<listens>LISTEN\b)
      | (?P<prepares>PREPARE\s+TRANSACTION\b)
      | (?P<reads>(?:SELECT|SHOW|SET|EXPLAIN|BEGIN|START|ROLLBACK|ABORT|SAVEPOINT|RELEASE|UNLISTEN|FETCH
            |DECLARE|CLOSE|VALUES|TABLE|DEALLOCATE|PREPARE)\b|COPY\b.*\bTO\s+STDOUT\b)
      | (?P<commits>(?:COMMIT|END)\b)
      | (?P<runs>(?:DO|CALL)\b)
      | (?P<makes>CREATE\s+(?:OR\s+REPLACE\s+)?(?:LOCAL\s+|GLOBAL\s+)?TEMP)
      | (?P<empty>\Z)
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""How a statement begins, behind its comments."""
_SET_CONFIG = re.compile(r"set_config\s*\(\s*(?:'([\w.]+)')?")
_TEMPORARY = re.compile(
    r"\btemp(?:orary)?\s+(?:table|view|sequence|recursive|\w+\s+as)|\bpg_temp\b|\binto\s+temp"
)
_ADVISORY_LOCK = re.compile(r"\bpg_(?:try_)?advisory_lock")
_READS_TABLES = re.compile(r"\bfrom\s+(?!pg_|\()")
_LONGEST_KEPT = 4000


@dataclass(frozen=True, slots=True)
class Statement:
    """What the text of a statement, or of several, tells. A function that it calls may do more."""

    only_reads: bool
    """Whether it begins like one that writes nothing, and calls no function that may be a user's."""
    commits: bool
    prepares: bool
    """Whether it ends a transaction in two phases."""
    changes: frozenset[StateKind]
    """What of its session it may change beyond its transaction."""
    settings: frozenset[str]
    """The settings that it names, in lower case."""
    resets: bool
    """Whether it gives settings the values that they had when the session began."""
    is_of_a_start: bool
    """Whether it is one with which a session may be prepared for its use: no table is read or written."""
    is_nothing_but_a_read: bool
    """Whether it leaves its session, its transaction and all rows as they are, as far as its text tells."""


def statement(text: str) -> Statement:
    """Returns what a statement's text tells, in less than 1 µs if it was asked about before."""
    return _kept(text) if len(text) <= _LONGEST_KEPT else _read(text)


def _read(text: str) -> Statement:
    is_of_a_start = True
    # COPY goes to the server without a text that the driver shows.
    only_reads = bool(text)
    commits = prepares = resets = False
    changes: set[StateKind] = set()
    settings = set()
    lower = text.lower()
    for part in text.split(";"):
        match = _HEAD.match(part)
        head = None if match is None else match.lastgroup
        if match is not None and head == "setting":
            changes.add("setting")
            settings.add(match["name"].strip('"').lower())
        elif head == "resets":
            resets = True
        elif head == "listens":
            changes.add("listen")
        elif head == "prepares":
            only_reads, prepares = False, True
        elif head == "commits":
            only_reads, commits = False, True
        elif head == "runs":
            only_reads = False
            changes |= STATE_KINDS
        elif head == "makes":
            only_reads = False
        elif head is None:
            only_reads = is_of_a_start = False
    if "set_config" in lower:
        changes.add("setting")
        settings.update(name for name in _SET_CONFIG.findall(lower) if name)
    if "temp" in lower and _TEMPORARY.search(lower):
        changes.add("temporary")
    if "advisory_lock" in lower and _ADVISORY_LOCK.search(lower):
        changes.add("lock")
    if is_of_a_start and "from" in lower and _READS_TABLES.search(lower):
        is_of_a_start = False
    only_reads = only_reads and not calls_of(text) and not hides_write(text)
    return Statement(
        only_reads,
        commits,
        prepares,
        frozenset(changes),
        frozenset(settings),
        resets,
        is_of_a_start,
        only_reads and not changes and not resets and "savepoint" not in lower,
    )


_kept = lru_cache(maxsize=2048)(_read)
