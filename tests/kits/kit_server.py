"""The server of the kits: the embedded one, also at a port of this machine, which postgres.js needs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs, free_directory

_SCHEMA = """
CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE NOT NULL, clerk_id text);
CREATE TABLE bookings (id serial PRIMARY KEY, parent_id int NOT NULL REFERENCES users (id), slot text UNIQUE);
INSERT INTO users (email) VALUES ('seed@shop.example');
"""


@dataclass(frozen=True, slots=True)
class KitServer:
    """A running server."""

    server: EmbeddedServer
    port: int

    def url(self, database: str) -> str:
        """Returns the URL of a database, by the port."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def make_database(self, name: str) -> str:
        """Makes the shop's database anew. Returns its URL."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(self.server.dsn(name), autocommit=True) as connection:
            connection.execute(_SCHEMA)
        return self.url(name)


def free_port() -> int:
    """Returns a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def kit_server() -> Iterator[KitServer]:
    """A server, and a listener on loopback that hands each connection on to its socket."""
    with EmbeddedServer(find_programs(), free_directory()) as server:
        directory = Path(str(conninfo_to_dict(server.dsn())["host"]))
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            place = str(directory / ".s.PGSQL.5432")
            threading.Thread(target=_serve, args=(listener, place), daemon=True).start()
            yield KitServer(server, listener.getsockname()[1])


def _serve(listener: socket.socket, place: str) -> None:
    with suppress(OSError):  # closed
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(place)
            except OSError:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_hand_on, args=(source, target), daemon=True).start()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        source.shutdown(socket.SHUT_RDWR)
