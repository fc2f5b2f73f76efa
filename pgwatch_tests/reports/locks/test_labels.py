"""Labels of sessions: the test's own name before its file, and whether the server has cut it. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pgwatch_tests.identity import test_names
from pgwatch_tests.locks.model import Session
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Tone, Toned

_MOST_BYTES = 63
_HASH = re.compile(r" #[0-9a-f]{8}$")
CUT = "cut by the server at 63 bytes; --tests FILE or the log gives the whole name"


@dataclass(frozen=True, slots=True)
class TestLabel:
    """What a session is called. All text is plain, an ellipsis where it was cut."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    name: str
    """The test's own name: its function, or its last title; what the session is called if that is no test."""
    place: str = ""
    """Its file, and what else encloses it."""
    worker: str = ""
    is_cut: bool = False
    mark: str = ""
    """The hash that tells a test that is cut from others of its name, `#1a2b3c4d`."""

    @property
    def short_place(self) -> str:
        """The place without the directories of its file."""
        project, bracket, rest = self.place.partition("] ") if self.place[:1] == "[" else ("", "", self.place)
        file, separator, groups = rest.partition(" > ")
        return project + bracket + file.rpartition("/")[2] + separator + groups


def name_of(session: Session) -> str:
    """`gw0 tests/test_a.py::test_b`, `vitest:1 a.test.ts`, or the application's name. Plain text."""
    identity = session.identity
    if session.is_connecting:
        return "a session that is connecting"
    if identity is not None:
        return plain(f"{identity.worker_label} {identity.label}".lstrip())
    return plain(session.known_as)


def label_of(session: Session) -> TestLabel:
    """The label of a session."""
    identity = session.identity
    full = len(session.application_name.encode(errors="surrogateescape")) >= _MOST_BYTES
    if identity is None:
        name = name_of(session)
        return TestLabel(f"{name}…", is_cut=True) if full else TestLabel(name)
    worker = plain(identity.worker_label)
    if identity.test == f"#{identity.digest}":
        return TestLabel(plain(identity.test), worker=worker, is_cut=True)
    label = label_of_test(identity.test if identity.digest is None else identity.label, worker)
    if identity.digest is None and full and not session.known_test:
        return TestLabel(f"{label.name}…", label.place, worker, is_cut=True)
    return label


@lru_cache(maxsize=4_096)
def label_of_test(test: str, worker: str = "") -> TestLabel:
    """The label of a test by its id; of `..py::test_a #1a2b3c4d`, which 63 bytes have cut, by what is left.

    Its hash tells it from others of its name, and nothing to a reader.
    """
    found = _HASH.search(test)
    mark = found[0] if found else ""
    name, place = map(plain, test_names.split(test.removesuffix(mark)))
    if not test.startswith(".."):
        return TestLabel(name, place, worker, mark=mark.strip())
    if place:
        return TestLabel(name, f"…{place.removeprefix('..')}", worker, is_cut=True, mark=mark.strip())
    return TestLabel(f"…{name.removeprefix('..')}", "", worker, is_cut=True, mark=mark.strip())


def beside(label: TestLabel, place: str | None = None, name_tone: Tone = "") -> tuple[Toned, ...]:
    """A cell with a test's name, and quietly beside it where it is (`place`: instead of its own), its hash.

    What tells least comes last, and is the first to be cut.
    """
    where = label.place if place is None else place
    parts = [Toned(label.name, name_tone)]
    if where:
        parts += [Toned("  "), Toned(where, "quiet")]
    if label.mark:
        parts += [Toned(" " if where else "  "), Toned(label.mark, "quiet", is_whole=True)]
    return tuple(parts)


def places_shown(labels: Iterable[TestLabel]) -> dict[TestLabel, str]:
    """The place to show with each label: short, or whole where only that tells two of a name apart."""
    alike: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    unique = set(labels)
    for one in unique:
        alike[one.name, one.short_place].add(one.place)
    return {
        one: one.short_place if len(alike[one.name, one.short_place]) == 1 else one.place for one in unique
    }
