"""The test of a session, as its `application_name` carries it: parsed and composed.

`application_name` is at most 63 bytes of printable ASCII (PostgreSQL manual, Error Reporting and
Logging); longer test ids are shortened from the left, so that the test's own name survives, and
carry 8 hex digits of the full id's SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

OWN_NAME = "pgwatch-tests"
_MAX_BYTES = 63
_NAME = re.compile(
    r"^(?P<runner>pytest|vitest|jest|playwright|mocha|rspec|unittest|go|junit)"
    r":(?P<worker>[A-Za-z0-9_.-]*) (?:#(?P<digest>[0-9a-f]{8})(?: |$))?(?P<test>\S.*)?$"
)

# What isn't ASCII, as PostgreSQL keeps it from 16 on (pg_clean_ascii, src/common/string.c).
_ESCAPED = re.compile(r"(?:\\x[89a-f][0-9a-f])+")
_RUN_NAME = re.compile(r"^run:[0-9a-f]{8} (?P<program>\S.*)$")


@dataclass(frozen=True, slots=True)
class TestIdentity:
    """The test, runner and worker that a session names.

    `test` begins with `..` if it was shortened, and is `#1a2b3c4d` where nothing but a hash is carried; in
    both cases `digest` is known.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    runner: str
    worker: str
    test: str
    digest: str | None = None

    @property
    def label(self) -> str:
        """The test; with its hash if that is all that tells it from others: `..py::test_a #1a2b3c4d`."""
        mark = f"#{self.digest}"
        if self.digest is None or self.test == mark or digest(self.test) == self.digest:
            return self.test
        return f"{self.test} {mark}"

    @property
    def worker_label(self) -> str:
        """The worker, `gw0`; with its runner if that isn't pytest: `vitest:1`. Empty if nothing names it."""
        if self.runner == "pytest":
            return self.worker
        return f"{self.runner}:{self.worker}" if self.worker else self.runner


@lru_cache(maxsize=4096)
def parse(application_name: str) -> TestIdentity | None:
    """The test that an `application_name` names, or None where it names none.

    Cached: polls see the same sessions again and again.
    """
    match = _NAME.match(application_name)
    if match is None or not (match["test"] or match["digest"]):
        return None
    test = _ESCAPED.sub(_unescaped, match["test"] or f"#{match['digest']}")
    return TestIdentity(match["runner"], match["worker"], test, match["digest"])


def _unescaped(escaped: re.Match[str]) -> str:
    content = bytes.fromhex(escaped[0].replace("\\x", ""))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # Cut in the middle of a letter, or of another encoding: that stays as it is.
        return content[: error.start].decode() + escaped[0][4 * error.start :]


def compose(runner: str, worker: str, test: str) -> str:
    """The `application_name` of a session of `test`: at most 63 bytes of printable ASCII."""
    shown = printable(test)
    name = f"{runner}:{worker} {shown}"
    if len(name) <= _MAX_BYTES and shown == test:
        return name
    head = f"{runner}:{worker} #{digest(test)} "
    room = _MAX_BYTES - len(head)
    return head + (shown if len(shown) <= room else f"..{shown[len(shown) - room + 2 :]}")


def compose_run(run: str, program: str) -> str:
    """The `application_name` of sessions of a run's command that choose none: `run:1a2b3c4d vitest`."""
    return f"run:{run} {printable(program)}"[:_MAX_BYTES]


def program_of(application_name: str) -> str | None:
    """The program that `compose_run` has put into a name: the same for all runs. None for other names."""
    match = _RUN_NAME.match(application_name)
    return None if match is None else match["program"]


def printable(test: str) -> str:
    """A test's id with `?` for what an `application_name` can't hold."""
    if test.isascii() and test.isprintable():
        return test
    return "".join(c if " " <= c <= "~" else "?" for c in test)


def digest(test: str) -> str:
    """8 hex digits that stand for a full test id."""
    return hashlib.sha256(test.encode("utf-8", errors="surrogatepass")).hexdigest()[:8]
