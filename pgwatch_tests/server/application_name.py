"""Which test a session belongs to: read from, and written into, `application_name`.

`application_name` is at most 63 bytes of printable ASCII (PostgreSQL manual, Error Reporting and
Logging); longer test ids are shortened from the left, so that the test's own name survives, and
carry 8 hex digits of the full id's SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

OWN_NAME = "pgwatch-tests"
_MAX_BYTES = 63
_NAME = re.compile(
    r"^(?P<runner>pytest|vitest|jest|playwright|mocha|rspec|unittest|go|junit)"
    r":(?P<worker>[A-Za-z0-9_.-]*) (?:#(?P<digest>[0-9a-f]{8}) )?(?P<test>\S.*)$"
)


@dataclass(frozen=True, slots=True)
class TestIdentity:
    """Who a session says it is. `test` begins with `..` if it was shortened; then `digest` is known."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    runner: str
    worker: str
    test: str
    digest: str | None = None


def parse(application_name: str) -> TestIdentity | None:
    """The test that an `application_name` names, or None where it names none."""
    match = _NAME.match(application_name)
    if match is None:
        return None
    return TestIdentity(match["runner"], match["worker"], match["test"], match["digest"])


def compose(runner: str, worker: str, test: str) -> str:
    """The `application_name` of a session of `test`: at most 63 bytes of printable ASCII."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in test)
    name = f"{runner}:{worker} {printable}"
    if len(name) <= _MAX_BYTES and printable == test:
        return name
    head = f"{runner}:{worker} #{digest(test)} "
    room = _MAX_BYTES - len(head)
    shortened = printable if len(printable) <= room else f"..{printable[len(printable) - room + 2 :]}"
    return head + shortened


def digest(test: str) -> str:
    """8 hex digits that stand for a full test id."""
    return hashlib.sha256(test.encode("utf-8", errors="surrogatepass")).hexdigest()[:8]
