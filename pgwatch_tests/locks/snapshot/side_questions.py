"""Questions asked beside the poll, on demand: all locks of one session, and whose sessions we may signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.locks.actions.signal_rights import Role, SignalRights
from pgwatch_tests.locks.model import HeldLock, LockTag, Party
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.locks.waits import lock_modes, named_locks, wait_target
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row


async def read_held_locks(
    names: NameCache, party: Party, statements: Sequence[str]
) -> tuple[HeldLock, ...] | None:
    """Returns the locks that `party` holds and waits for, strongest first; None if not read in time.

    Named locks have the names that `statements` tell.
    """
    rows: list[tuple[LockTag, str, bool]] = []
    answered = False

    async def read(connection: AsyncConnection[Row]) -> None:
        nonlocal answered
        cursor = await connection.execute(
            queries.load("locks/held_locks"), {"pid": party.pid, "gid": party.gid}, prepare=True
        )
        for *tag, mode, granted in await cursor.fetchall():
            rows.append((LockTag(*cast(list[str], tag)), str(mode), bool(granted)))  # type: ignore[arg-type]  # in LockTag's order
        answered = True

    await names.lookups.attempt(None, [("held", party)], read)
    if not answered:
        return None
    subjects = [named_locks.named(wait_target.subject(tag, (), party), tag, statements) for tag, _, _ in rows]
    await names.resolve_subjects(subjects)
    locks = {
        HeldLock(
            wait_target.in_words(subject, names), lock_modes.in_words(mode), granted
        ): lock_modes.strength(mode)
        for subject, (_, mode, granted) in zip(subjects, rows, strict=True)
    }
    return tuple(sorted(locks, key=lambda lock: (lock.granted, -locks[lock], lock.target)))


async def read_signal_rights(names: NameCache) -> SignalRights | None:
    """Returns whose sessions our role may signal; None if that couldn't be read in time."""
    roles: dict[int, Role] = {}

    async def read(connection: AsyncConnection[Row]) -> None:
        cursor = await connection.execute(queries.load("locks/role_rights"), prepare=True)
        for oid, name, is_superuser, has_privileges, is_own in await cursor.fetchall():
            number = cast(int, oid)
            roles[number] = Role(number, str(name), bool(is_superuser), bool(has_privileges), bool(is_own))

    await names.lookups.attempt(None, ["signal rights"], read)
    return SignalRights(roles) if roles else None
