"""The switchboard of a proxy: what each of its connections asks it, and tells it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from pgwatch_tests.testing.interleaving.actor import Actor
from pgwatch_tests.testing.interleaving.gates.round_trip import RoundTrip

if TYPE_CHECKING:
    from pgwatch_tests.testing.interleaving.proxy.proxied_connection import ProxiedConnection


class Switchboard(Protocol):
    """What a connection needs of its proxy."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns a connection to the server. Raises OSError."""

    def server_dsn(self, database: str) -> str:
        """Returns a connection string for a database of the server, past the proxy."""

    async def actor_of(self, connection: ProxiedConnection, trip: RoundTrip) -> Actor | None:
        """Returns whose a round trip is; None: of none of the actors."""

    def is_turn_of(self, actor: Actor) -> bool:
        """Whether no other actor runs, and this one may go on with its answer."""

    async def turn_of(self, actor: Actor) -> None:
        """Waits until `is_turn_of`, but not for ever: actors may wait for each other outside of it."""

    def note_change(self) -> None:
        """Takes note that an actor stands, or a connection is free."""
