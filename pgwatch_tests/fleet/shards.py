"""Shards of a list of servers: parts that several machines take, by rendezvous hashing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` of `of` parts, from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """The shard that `2/8` names. Raises ValueError."""
    matched = _SHARD.fullmatch(text.strip())
    if matched is None or int(matched[1]) > int(matched[2]):
        raise ValueError(f"{text!r} isn't a part such as 2/8: the second of eight")
    return Shard(int(matched[1]), int(matched[2]))


def shard_of(name: str, of: int) -> int:
    """The number of the shard, from 1 to `of`, that a server's name belongs to.

    Each shard gives the name a number, and the highest one has it (D. Thaler, C. V. Ravishankar, "Using
    name-based mappings to increase hit rates", 1998). So a server that comes or goes moves no other, and one
    more shard takes servers only to itself: 1 of `of` + 1 of them.
    """
    return max(range(1, of + 1), key=lambda number: (_weight(name, number), number))


def share(names: Sequence[str], shard: Shard) -> tuple[str, ...]:
    """The names that belong to that shard, in their order; none may be left for it."""
    return tuple(name for name in names if shard_of(name, shard.of) == shard.number)


def _weight(name: str, number: int) -> bytes:
    # Not `hash`, which differs from process to process.
    return blake2b(f"{number}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
