"""Where the server listens: an address of this machine alone, and the link to it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from pgwatch_tests.errors import ConfigurationError, RefusedError

DEFAULT_PORT = 8080
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A loopback address and a port; port 0 stands for any that is free."""

    ip: IPv4Address | IPv6Address
    port: int

    @property
    def origin(self) -> str:
        """What a browser calls it: `http://127.0.0.1:8080`."""
        return f"http://{self._host}:{self.port}"

    @property
    def tunnel(self) -> str:
        """The command that makes it reachable on another machine."""
        return tunnel(self.port, self._host)

    @property
    def _host(self) -> str:
        return f"[{self.ip}]" if self.ip.version == 6 else str(self.ip)

    def bind(self) -> socket.socket:
        """Returns a socket that is bound here. Raises ConfigurationError; port 0 picks a free one."""
        bound = socket.socket(socket.AF_INET6 if self.ip.version == 6 else socket.AF_INET)
        try:
            # A server that is started again doesn't wait for the last one's connections to time out.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((str(self.ip), self.port))
        except OSError as error:
            bound.close()
            free = f"--listen {self._host}:0 picks a free port"
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(f"port {self.port} of {self.ip} is in use: {free}") from error
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self.port}: {error.strerror}; {free}"
            ) from error
        return bound


def of_socket(bound: socket.socket) -> ListenAddress:
    """The address that a socket is bound to."""
    host, port = bound.getsockname()[:2]
    return ListenAddress(ip_address(host), port)


def parse(text: str) -> ListenAddress:
    """Reads `HOST:PORT`, or a port alone. Raises ConfigurationError.

    Raises RefusedError for a host that others can reach; its message has the tunnel that does.
    """
    host, mark, port = text.rpartition(":")
    if not mark:
        host = _HOST
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise ConfigurationError(f"--listen takes HOST:PORT, such as {_HOST}:{DEFAULT_PORT}, not {text!r}")
    ip = loopback(host)
    if ip is None:
        raise RefusedError(
            f"serve listens on this machine alone, not on {host or 'all addresses'}: "
            f"from another machine, open a tunnel with {tunnel(int(port) or DEFAULT_PORT)}"
        )
    return ListenAddress(ip, int(port))


def tunnel(port: int, host: str = _HOST) -> str:
    """The command line of a tunnel to a port of HOST."""
    return f"ssh -L {port}:{host}:{port} HOST"


def loopback(host: str) -> IPv4Address | IPv6Address | None:
    """The address of a host's name, or of its number with or without brackets; None if it isn't loopback."""
    if host.lower() == "localhost":
        return IPv4Address(_HOST)
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    return ip if ip.is_loopback else None
