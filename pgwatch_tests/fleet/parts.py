"""Parts of a fleet's report, made by several machines: which are missing, and whose they'd be. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.fleet.shards import Shard, parse_shard, shard_of

MISSING = "hasn't reported"


def shard_named(text: str) -> Shard:
    """The part of that name; empty: the only one."""
    return parse_shard(text) if text else Shard(1, 1)


def missing(reported: Mapping[Shard, Collection[str]], servers: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what is missing, and why: servers, if the fleet's are known, else parts.

    `reported` has the servers of each part that has reported. A part without a server needn't report.
    Raises ConfigurationError if the parts aren't of one division.
    """
    divisions = {shard.of for shard in reported}
    if len(divisions) != 1:
        told = " and ".join(f"{of:,}" for of in sorted(divisions)) or "no"
        raise ConfigurationError(f"parts of one division are needed, not of {told} parts")
    (of,) = divisions
    parts = [Shard(number, of) for number in range(1, of + 1)]
    lost = [shard for shard in parts if shard not in reported]
    if not servers:
        return [(f"part {shard}", f"part {shard} {MISSING}") for shard in lost]
    found = [
        (name, f"part {shard} {MISSING}")
        for shard in lost
        for name in servers
        if shard_of(name, of) == shard.number
    ]
    # Declared since: its part has reported without it.
    known = {name for names in reported.values() for name in names} | {name for name, _ in found}
    return found + [
        (name, f"part {shard_of(name, of)}/{of} reported without it") for name in servers if name not in known
    ]
