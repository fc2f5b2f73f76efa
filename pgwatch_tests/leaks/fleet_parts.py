"""Parts of a fleet's check, made by several machines: put together as one, missing parts named. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.fleet.shards import Shard, parse_shard, shard_of
from pgwatch_tests.leaks.model import LeaksOfDatabases, NotChecked

MISSING = "hasn't reported"


def put_together(parts: Sequence[LeaksOfDatabases], servers: Sequence[str] = ()) -> LeaksOfDatabases:
    """Returns the check that the parts are of: each part once, the latest of each.

    `servers` are all that the fleet should have, if that is known: then what is missing is named by these. A
    part that has no server needn't report. Raises ConfigurationError if the parts aren't of one division.
    """
    shards = {_shard(part): part for part in parts}
    divisions = {shard.of for shard in shards}
    if len(divisions) != 1:
        told = " and ".join(f"{of:,}" for of in sorted(divisions)) or "no"
        raise ConfigurationError(f"parts of one division are needed, not of {told} parts")
    (of,) = divisions
    missing = [Shard(number, of) for number in range(1, of + 1) if Shard(number, of) not in shards]
    reported = [part for _, part in sorted(shards.items(), key=lambda item: item[0].number)]
    asked = list(dict.fromkeys(chain(servers, *(part.servers for part in reported))))
    not_checked = [*chain.from_iterable(part.not_checked for part in reported)]
    for shard in missing:
        reason = f"part {shard} {MISSING}"
        if servers:
            own = [name for name in servers if shard_of(name, of) == shard.number]
            not_checked += (NotChecked("", reason, name) for name in own)
        else:
            asked.append(f"part {shard}")
            not_checked.append(NotChecked("", reason, f"part {shard}"))
    known = {server for part in reported for server in part.servers}
    if servers:
        # Declared since: its part has reported without it.
        named = {one.server for one in not_checked}
        not_checked += (
            NotChecked("", f"part {shard_of(name, of)}/{of} reported without it", name)
            for name in servers
            if name not in known and name not in named
        )
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


def _shard(part: LeaksOfDatabases) -> Shard:
    return parse_shard(part.shard) if part.shard else Shard(1, 1)
