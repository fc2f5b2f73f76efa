"""Test cases of JUnit reports: frozen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

CaseOutcome = Literal["passed", "failed", "error", "skipped"]
Runner = Literal["pytest", "vitest", "playwright", "merged", ""]
"""`merged`: by `pgwatch-tests junit -o`."""
TroubleKind = Literal[
    "failure", "error", "skipped", "flakyFailure", "flakyError", "rerunFailure", "rerunError"
]


OUTCOMES: Mapping[str, CaseOutcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}
"""Of elements that say how a case ended."""
# Attempts that the runner repeated, in a case that came to another end (Maven Surefire, Playwright).
REPEATED: Mapping[str, CaseOutcome] = {
    "flakyFailure": "failed",
    "flakyError": "error",
    "rerunFailure": "failed",
    "rerunError": "error",
}
MERGED = "pgwatch-tests junit"
"""The name of a document that `pgwatch-tests junit -o` has made of others."""


class Suite(NamedTuple):
    """A `testsuite` element, with the attributes that its cases need."""

    name: str = ""
    host: str = ""
    """Its `hostname`: a machine, or a project of Playwright's."""
    timestamp: str = ""
    runner: Runner = ""
    """Whose report it seems to be in; empty if that can't be told."""
    is_case: bool = False
    """Whether this is of the case that stands for it: it has a failure outside of any other."""


class Trouble(NamedTuple):
    """An element that says why a case didn't pass, or an attempt of it."""

    kind: TroubleKind
    message: str
    text: str
    """Of either at most 10,000 characters."""
    type: str = ""


class JUnitCase(NamedTuple):
    """A `testcase` element. Texts are other people's."""

    name: str
    classname: str
    file: str = ""
    suite: Suite = Suite()
    """The innermost."""
    duration_s: float | None = None
    troubles: tuple[Trouble, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    output: str = ""
    """Of a case that has troubles: at most 10,000 characters that it printed, and lines that attach files."""

    @property
    def is_suite(self) -> bool:
        """Whether it stands for its suite, which has a failure outside of any case."""
        return self.suite.is_case

    @property
    def runner(self) -> Runner:
        """Whose report it seems to be in."""
        return self.suite.runner

    @property
    def outcome(self) -> CaseOutcome:
        """How it ended. A test that failed and was torn down with an error has failed."""
        if not self.troubles:
            return "passed"
        own = [OUTCOMES[one.kind] for one in self.troubles if one.kind in OUTCOMES]
        for outcome in own:
            if outcome != "skipped":
                return outcome
        # Without an element of its own, an attempt that was repeated says how it ended.
        again = next((one.kind for one in self.troubles if one.kind.startswith("rerun")), None)
        return REPEATED[again] if again else "skipped" if own else "passed"

    @property
    def failed_attempts(self) -> int:
        """How many attempts failed besides the one that `outcome` tells."""
        repeated = sum(one.kind in REPEATED for one in self.troubles)
        is_last = not any(one.kind in OUTCOMES for one in self.troubles)
        return repeated - (repeated > 0 and is_last and self.outcome != "passed")

    @property
    def message(self) -> str:
        """The first trouble's message, else its text; empty if there is none."""
        return next((one.message or one.text for one in self.troubles), "")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something about a file that a reader has to know; nothing in it is wrong about the cases."""

    code: str
    """`wrong-count`, `forbidden-characters`, `encoding`, `bad-number`, `second-document` …"""
    text: str
