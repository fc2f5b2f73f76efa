"""Says why a root blocker blocks, and what to do. Pure: the same picture gives the same words."""

from __future__ import annotations

from pgwatch_tests.locks import rules
from pgwatch_tests.locks.case import Case, Diagnosis
from pgwatch_tests.locks.model import Party
from pgwatch_tests.locks.picture import LockPicture

__all__ = ["Diagnosis", "diagnose"]


def diagnose(picture: LockPicture, root: Party) -> Diagnosis:
    """Why `root` blocks, and what to do about it: the first rule that applies."""
    case = Case.of(picture, root)
    for rule in rules.RULES:
        found = rule(case)
        if found is not None:
            return found
    return rules.unknown(case)
