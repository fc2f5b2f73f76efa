"""Names of leases and named locks, and the numbers that advisory locks have of them. Pure.

Both are advisory locks of two numbers: LEASE_KEY, and the server's `hashtext(name)`. The name of a named lock
begins with `lock:`, so that no run, schema or database has the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LEASE_KEY = 0x70677774
"""`pgwt` in ASCII, 1885828980: the first of a lease's two numbers."""

_PREFIX = "lock:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}")
_IN_STATEMENT = re.compile(rf"'{_PREFIX}({_NAME.pattern})'")


def lock_lease(name: str) -> str:
    """Returns the name of the lease that a named lock is: `lock:mail`.

    Raises ValueError for a name that isn't 1 to 63 letters, digits, `.`, `_`, `:`, `/` and `-`, a letter or
    digit first: other languages write it into their statements.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "the name of a lock is 1 to 63 letters, digits, '.', '_', ':', '/' and '-', with a letter or "
            f"digit first: not {name!r}"
        )
    return f"{_PREFIX}{name}"


def lock_name(number: int, statements: Iterable[str]) -> str | None:
    """Returns the named lock with this second number (as signed 32 bits), if one of `statements` names it."""
    for statement in statements:
        if _PREFIX in statement:
            for name in _IN_STATEMENT.findall(statement):
                if hashtext(lock_lease(name)) == number:
                    return str(name)
    return None


def hashtext(text: str) -> int:
    """Returns what the server's hashtext() returns on little-endian machines, for its encoding UTF8.

    That is hash_bytes, src/common/hashfn.c, by Bob Jenkins.
    """
    data = text.encode()
    a = b = c = (0x9E3779B9 + len(data) + 3923095) & _BITS
    whole = len(data) - len(data) % 12
    for at in range(0, whole, 12):
        a, b, c = (
            (word + int.from_bytes(data[at + offset : at + offset + 4], "little")) & _BITS
            for word, offset in ((a, 0), (b, 4), (c, 8))
        )
        for steps in ((4, 6, 8), (16, 19, 4)):
            a = (a - c & _BITS) ^ _rotated(c, steps[0])
            c = c + b & _BITS
            b = (b - a & _BITS) ^ _rotated(a, steps[1])
            a = a + c & _BITS
            c = (c - b & _BITS) ^ _rotated(b, steps[2])
            b = b + a & _BITS
    rest = data[whole:]
    a = a + int.from_bytes(rest[:4], "little") & _BITS
    b = b + int.from_bytes(rest[4:8], "little") & _BITS
    # The lowest byte is the length's.
    c = c + (int.from_bytes(rest[8:], "little") << 8) & _BITS
    c = (c ^ b) - _rotated(b, 14) & _BITS
    a = (a ^ c) - _rotated(c, 11) & _BITS
    b = (b ^ a) - _rotated(a, 25) & _BITS
    c = (c ^ b) - _rotated(b, 16) & _BITS
    a = (a ^ c) - _rotated(c, 4) & _BITS
    b = (b ^ a) - _rotated(a, 14) & _BITS
    c = (c ^ b) - _rotated(b, 24) & _BITS
    return c - (1 << 32) if c >= 1 << 31 else c


_BITS = 0xFFFFFFFF


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _BITS
