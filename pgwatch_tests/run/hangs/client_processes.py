"""Client processes: which process of this machine a session of the server belongs to, and whose that is.

Linux only: elsewhere nothing is proved. A session is a client's if the server is seen to be without anything
in between (a proxy, NAT, a tunnel): our own connection has, on both ends, the same address. Then a session's
address and port, or the other end of its Unix socket, is one socket of this machine, and /proc tells whose.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from pgwatch_tests.run.guards import TOKEN_VARIABLE

_PROC = Path("/proc")
_ESTABLISHED = "01"
_SOCKET = re.compile(r"socket:\[(\d+)\]")

# <linux/netlink.h>, <linux/sock_diag.h>, <linux/unix_diag.h>
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_DONE, _ERROR = 3, 2
_SHOW_PEER, _PEER = 4, 2
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIII2I")
_MESSAGE = struct.Struct("=BBBBI2I")
_ATTRIBUTE = struct.Struct("=HH")
_ANY_STATE = 0xFFFFFFFF
_LISTED_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ClientEnd:
    """The client's end of a session, as the server tells it: an address and port, or a Unix socket."""

    address: str | None
    """None for a Unix socket."""
    port: int | None
    backend_pid: int


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """Our own connection, as both ends tell it; what lies between them is known by comparing these."""

    told: ClientEnd
    descriptor: int
    """Of our socket on this machine, open."""
    server_port: int | None

    @property
    def is_direct(self) -> bool:
        """Whether nothing is in between: neither a proxy nor NAT nor a tunnel, nor another space of pids."""
        with socket.socket(fileno=os.dup(self.descriptor)) as same:
            if same.family == socket.AF_UNIX:
                ours = os.fstat(self.descriptor).st_ino
                return self.told.address is None and ours in _other_ends(self.told.backend_pid)
            address, port, *_ = same.getsockname()
        return (_plain(str(address)), int(port)) == (_plain(self.told.address or ""), self.told.port)

    def sockets_of_same_way(self) -> frozenset[int]:
        """Returns this machine's sockets that are connected to where ours is, ours among them."""
        with socket.socket(fileno=os.dup(self.descriptor)) as same:
            is_unix, there = same.family == socket.AF_UNIX, same.getpeername()
        if is_unix:
            accepted = _unix_sockets_at(os.fsdecode(there))
            return frozenset(inode for inode, peer in _unix_peers() if peer in accepted)
        address, port = _plain(str(there[0])), int(there[1])
        return frozenset(
            inode
            for _, (to, to_port), inode in _tcp_connections()
            if to_port == port and (to == address or (_is_loopback(to) and _is_loopback(address)))
        )


def processes_of_run(command_pid: int, token: str) -> frozenset[int]:
    """Returns the command's processes: it, what it started, and whatever has its token.

    A process that left the tree (a daemon) has the token in its environment still.
    """
    parents = dict(_parents())
    found = {command_pid} if command_pid in parents else set()
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    todo = list(found)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    mark = f"{TOKEN_VARIABLE}={token}".encode()
    found.update(pid for pid in parents if pid not in found and mark in _environment(pid))
    return frozenset(found)


def owner_of(end: ClientEnd, own: OwnEnd, processes: Iterable[int]) -> int | None:
    """Returns the one of `processes` that has the client's end of a session; None if none surely has."""
    if sys.platform != "linux" or not own.is_direct:
        return None
    if end.address is None:
        if own.told.address is not None:
            return None
        sockets = _other_ends(end.backend_pid)
    elif own.told.address is None or _plain(end.address) != _plain(own.told.address):
        # Elsewhere the same address may be another machine's: 127.0.0.1 above all.
        return None
    else:
        sockets = _tcp_sockets(end, own.server_port)
    if not sockets:
        return None
    return next((pid for pid in processes if sockets & _sockets_of(pid)), None)


def is_clients_own(end: ClientEnd, own: OwnEnd, processes: Iterable[int]) -> bool:
    """Whether a session's name is its client's, where `owner_of` proves nothing.

    A pooler's session keeps the name of a client that has left it, also for one without a name (seen with
    PgBouncer 1.18). So it has to come from where ours comes from, and on Linux, a process of the run has to
    be connected to where ours is: not to a pooler. Without anything in between, `owner_of` decides.
    """
    if _plain(end.address or "") != _plain(own.told.address or ""):
        return False
    if sys.platform != "linux":
        return True
    if own.is_direct:
        return False
    same_way = own.sockets_of_same_way()
    return any(same_way & _sockets_of(pid) for pid in processes)


def _parents() -> Iterator[tuple[int, int]]:
    """Yields each process of this machine, with its parent."""
    with suppress(OSError):
        for entry in os.scandir(_PROC):
            if entry.name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    # The name, in parentheses, may hold anything (manual, proc_pid_stat(5)).
                    stat = (_PROC / entry.name / "stat").read_bytes().rpartition(b")")[2].split()
                    yield int(entry.name), int(stat[1])


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _sockets_of(pid: int) -> frozenset[int]:
    """Returns the inodes of a process's sockets, as far as they may be seen."""
    found: set[int] = set()
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                match = _SOCKET.fullmatch(str(entry.readlink()))
                if match is not None:
                    found.add(int(match[1]))
    return frozenset(found)


def _tcp_sockets(end: ClientEnd, server_port: int | None) -> frozenset[int]:
    """Returns the sockets of this machine with the client's address and port, connected to the server's."""
    client = _plain(end.address or ""), end.port
    return frozenset(
        inode for ours, (_, port), inode in _tcp_connections() if ours == client and port == server_port
    )


def _tcp_connections() -> Iterator[tuple[tuple[str, int], tuple[str, int], int]]:
    """Yields each TCP connection of this machine: its end here, its end there, its inode."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _ESTABLISHED:
                    yield _end(columns[1]), _end(columns[2]), int(columns[9])


def _end(column: str) -> tuple[str, int]:
    """Reads `0100007F:1F90`: words of 32 bits in this machine's order, then the port."""
    address, _, port = column.partition(":")
    packed = b"".join(
        int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)
    )
    return _plain(str(ip_address(packed))), int(port, 16)


def _plain(address: str) -> str:
    """An address in one spelling: an IPv4 address within IPv6 as such, no zone, no mask."""
    try:
        read: IPv4Address | IPv6Address = ip_address(address.partition("/")[0].partition("%")[0])
    except ValueError:
        return address
    if isinstance(read, IPv6Address) and read.ipv4_mapped is not None:
        read = read.ipv4_mapped
    return str(read)


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ip_address(address).is_loopback
    return False


def _other_ends(backend_pid: int) -> frozenset[int]:
    """Returns the sockets at the other ends of those of a server's process, if that may be looked at."""
    own = _sockets_of(backend_pid)
    if not own:
        return frozenset()
    return frozenset(peer for inode, peer in _unix_peers() if inode in own)


def _unix_sockets_at(path: str) -> frozenset[int]:
    """Returns the sockets that a server has at a path (manual, unix(7): /proc/net/unix)."""
    found: set[int] = set()
    with suppress(OSError):
        table = (_PROC / "net" / "unix").read_text(encoding="utf-8", errors="surrogateescape")
        for line in table.splitlines()[1:]:
            columns = line.split(maxsplit=7)
            if len(columns) == 8 and columns[7] == path:
                found.add(int(columns[6]))
    return frozenset(found)


def _unix_peers() -> list[tuple[int, int]]:
    """Returns each connected Unix socket of this machine with its other end, by inode."""
    found: list[tuple[int, int]] = []
    with (
        suppress(OSError, struct.error),
        socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asked,
    ):
        asked.settimeout(_LISTED_WITHIN_S)
        wanted = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY_STATE, 0, _SHOW_PEER, _ANY_STATE, _ANY_STATE)
        size = _HEADER.size + len(wanted)
        asked.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, 1, 0) + wanted)
        while True:
            answer, at = asked.recv(1 << 18), 0
            while at + _HEADER.size <= len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind in (_DONE, _ERROR) or length < _HEADER.size:
                    return found
                found += _peer(answer[at + _HEADER.size : at + length])
                at += _aligned(length)
    return found


def _peer(message: bytes) -> Iterator[tuple[int, int]]:
    inode = _MESSAGE.unpack_from(message)[4]
    at = _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _PEER:
            yield inode, struct.unpack_from("=I", message, at + _ATTRIBUTE.size)[0]
        at += max(_ATTRIBUTE.size, _aligned(length))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
