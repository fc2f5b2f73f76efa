"""Statements that matter to a transaction which is to be rolled back, by their first words. Pure."""

from __future__ import annotations

import re

_ENDS = re.compile(
    r"\s*(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE,
)
_READS = re.compile(r"\s*(?:SELECT|SHOW|EXPLAIN|VALUES|TABLE|FETCH|SET|RESET)\b", re.IGNORECASE)
_CHANGES_SCHEMA = re.compile(r"\s*(?:CREATE|ALTER|DROP|IMPORT|DO|CALL)\b", re.IGNORECASE)


def only_reads(statement: str) -> bool:
    """Whether it writes nothing, as a rule."""
    return _READS.match(statement) is not None


def ends_transaction(statement: str) -> bool:
    """Whether it would end the transaction, or begin one."""
    return _ENDS.match(statement) is not None


def changes_schema(statement: str) -> bool:
    """Whether it may make or drop constraints."""
    return _CHANGES_SCHEMA.match(statement) is not None


def refusal(statement: str) -> str:
    """Returns why a statement that would end the transaction is refused."""
    return (
        f"{statement.strip().split()[0].upper()} as a statement would end the test's own transaction, which "
        "is to be rolled back: use commit(), rollback() and begin()"
    )
