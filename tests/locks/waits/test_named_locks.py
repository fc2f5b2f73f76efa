"""Names of named locks, from the statements of whoever holds them or waits for them."""

from __future__ import annotations

import pytest

from pgwatch_tests.identity.lease_names import LEASE_KEY, hashtext, lock_lease
from pgwatch_tests.locks.model import LockTag, Subject
from pgwatch_tests.locks.waits.named_locks import named

LOCK = Subject("advisory", 1, words="advisory lock (1, 2)")
MAIL = hashtext(lock_lease("mail")) & 0xFFFFFFFF


def tag(objid: int, classid: int = LEASE_KEY, objsubid: int = 2) -> LockTag:
    return LockTag("advisory", 1, classid=classid, objid=objid, objsubid=objsubid)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_catalog.pg_advisory_lock(1885828980, pg_catalog.hashtext('lock:mail'))",
        "SELECT 'lock:files', 'lock:mail'",
    ],
)
def test_a_statement_tells_the_name(statement: str) -> None:
    assert named(LOCK, tag(MAIL), ["SELECT 1", statement]).words == "named lock mail"


def test_another_lock_is_not_called_so() -> None:
    statements = ["SELECT pg_advisory_lock(1885828980, hashtext('lock:mail'))"]
    for other in (tag(MAIL + 1), tag(MAIL, 7), tag(MAIL, objsubid=1)):
        assert named(LOCK, other, statements) == LOCK
    assert named(LOCK, tag(MAIL), ["SELECT 'lock:files'", "SELECT 'lock:a b'", "lock:mail"]) == LOCK
