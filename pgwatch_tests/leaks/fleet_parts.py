"""Parts of a fleet's check, made by several machines: put together as one, missing parts named. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from pgwatch_tests.fleet.parts import missing, shard_named
from pgwatch_tests.leaks.model import LeaksOfDatabases, NotChecked


def put_together(parts: Sequence[LeaksOfDatabases], servers: Sequence[str] = ()) -> LeaksOfDatabases:
    """Returns the check that the parts are of: each part once, the latest of each.

    `servers` are all that the fleet should have, if that is known: then what is missing is named by these. A
    part that has no server needn't report. Raises ConfigurationError if the parts aren't of one division.
    """
    shards = {shard_named(part.shard): part for part in parts}
    lost = missing({shard: part.servers for shard, part in shards.items()}, servers)
    reported = [part for _, part in sorted(shards.items(), key=lambda item: item[0].number)]
    not_checked = [*chain.from_iterable(part.not_checked for part in reported)]
    not_checked += (NotChecked("", reason, name) for name, reason in lost)
    told = chain(servers, *(part.servers for part in reported), (name for name, _ in lost))
    asked = list(dict.fromkeys(told))
    place = {server: number for number, server in enumerate(asked)}
    return LeaksOfDatabases(
        min(part.checked_at for part in reported),
        tuple(
            sorted(
                chain.from_iterable(part.databases for part in reported),
                key=lambda one: (place[one.server], one.database),
            )
        ),
        tuple(sorted(not_checked, key=lambda one: (place[one.server], one.database))),
        max(part.duration_s for part in reported),
        tuple(asked),
    )
