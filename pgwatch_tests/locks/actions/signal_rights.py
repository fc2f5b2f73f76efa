"""Rights to signal sessions: whom our role may, and which GRANT helps with the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_tests.locks.actions.action import Action
from pgwatch_tests.locks.graph.lock_graph import LockGraph

_SIGNALS_OTHERS = "pg_signal_backend"
_SIGNALS_AUTOVACUUM = "pg_signal_autovacuum_worker"
"""Since PostgreSQL 18."""


@dataclass(frozen=True, slots=True)
class Role:
    """A row of queries/locks/role_rights.sql. `name` is quoted where it has to be."""

    oid: int
    name: str
    is_superuser: bool
    has_privileges: bool
    """Whether our role has its privileges."""
    is_own: bool


@dataclass(frozen=True, slots=True)
class SignalRights:
    """What our role may do, as of when it was read; without our role nothing is known."""

    roles: Mapping[int, Role]
    """By OID."""

    @property
    def may_be_refused(self) -> bool:
        """Whether there is anything that the server might refuse: a superuser may do all."""
        return any(one.is_own and not one.is_superuser for one in self.roles.values())

    def refusal(self, graph: LockGraph, action: Action) -> str:
        """Why the server will refuse an action, and which GRANT helps.

        Empty if it won't, or if that isn't known.
        """
        own = next((one for one in self.roles.values() if one.is_own), None)
        if own is None or own.is_superuser:
            return ""
        if not action.party.pid:
            owner_oid = graph.prepared[action.party].user_oid
            owner = self.roles.get(owner_oid or 0)
            return "" if owner is None or owner.is_own else f"needs its owner ({owner.name}) or a superuser"
        session = graph.sessions[action.party]
        if session.user_oid is None:
            # A process of the server itself; one that isn't shown whose it is has a database.
            right = self._named(_SIGNALS_AUTOVACUUM) if session.is_autovacuum else None
            if (right is not None and right.has_privileges) or session.is_client:
                return ""
            grant = "" if right is None else f" or {right.name} (GRANT {right.name} TO {own.name})"
            return f"a process of the server itself needs a superuser{grant}"
        owner = self.roles.get(session.user_oid)
        if owner is None:
            return ""
        if owner.is_superuser:
            return needed_right(own.name, owner.name, owner_is_superuser=True)
        others = self._named(_SIGNALS_OTHERS)
        if owner.has_privileges or (others is not None and others.has_privileges):
            return ""
        return needed_right(own.name, owner.name, owner_is_superuser=False)

    def _named(self, name: str) -> Role | None:
        return next((one for one in self.roles.values() if one.name == name), None)


def needed_right(asking: str, owner: str, *, owner_is_superuser: bool) -> str:
    """What a role needs to signal a session of `owner`; both names are quoted already."""
    if owner_is_superuser:
        return f"it belongs to the superuser {owner}, so it needs a superuser"
    return (
        f"needs {_SIGNALS_OTHERS} (GRANT {_SIGNALS_OTHERS} TO {asking}) or membership in the session's role "
        f"(GRANT {owner} TO {asking})"
    )
