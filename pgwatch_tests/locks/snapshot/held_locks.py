"""All locks of one session, asked for when somebody wants to see them."""

from __future__ import annotations

from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.locks.model import HeldLock, LockTag, Party
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.locks.waits import lock_modes, wait_target
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row


async def read_held_locks(names: NameCache, party: Party) -> tuple[HeldLock, ...] | None:
    """What `party` holds and waits for, the strongest first; None if it couldn't be read in time."""
    found: list[tuple[LockTag, str, bool]] = []
    answered = False

    async def read(connection: AsyncConnection[Row]) -> None:
        nonlocal answered
        cursor = await connection.execute(
            queries.load("locks/held_locks"), {"pid": party.pid, "gid": party.gid}, prepare=True
        )
        for *tag, mode, granted in await cursor.fetchall():
            found.append((LockTag(*cast(list[str], tag)), str(mode), bool(granted)))  # type: ignore[arg-type]  # in LockTag's order
        answered = True

    await names.lookups.attempt(None, [("held", party)], read)
    if not answered:
        return None
    subjects = [wait_target.subject(tag, (), party) for tag, _, _ in found]
    await names.resolve_subjects(subjects)
    locks = {
        HeldLock(
            wait_target.in_words(subject, names), lock_modes.in_words(mode), granted
        ): lock_modes.strength(mode)
        for subject, (_, mode, granted) in zip(subjects, found, strict=True)
    }
    return tuple(sorted(locks, key=lambda lock: (lock.granted, -locks[lock], lock.target)))
