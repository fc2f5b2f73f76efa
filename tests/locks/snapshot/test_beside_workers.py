"""Two workers that make, copy and drop their databases as Django's do, watched from either side."""

from __future__ import annotations

import threading

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.locks.watching import Watching
from tests.servers.sessions import blocked, drop_database, unique_name
from tests.waiting import wait_until

_ROUNDS = 2


class Worker:
    """What pytest-django has a worker do (create_test_db, clone_test_db and destroy_test_db of
    django/db/backends/postgresql/creation.py)."""

    def __init__(self, server: EmbeddedServer, name: str, watching: Watching) -> None:
        self._server = server
        self._watching = watching
        self.name = name
        self.copy = f"{name}_1"
        self.dropped = 0

    def run(self) -> None:
        with psycopg.connect(self._server.dsn(), autocommit=True) as main:
            for _ in range(_ROUNDS):
                main.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
                self._test()
                main.execute(
                    sql.SQL("CREATE DATABASE {} WITH TEMPLATE {}").format(
                        sql.Identifier(self.copy), sql.Identifier(self.name)
                    )
                )
                for name in (self.copy, self.name):
                    main.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
                self.dropped += 1

    def _test(self) -> None:
        """Somebody waits for a row, whose name is looked up in the database."""
        dsn = self._server.dsn(self.name)
        with psycopg.connect(dsn) as holder, psycopg.connect(dsn) as waiter:
            holder.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
            holder.execute("INSERT INTO accounts VALUES (42)")
            holder.commit()
            holder.execute("UPDATE accounts SET id = 42")
            waits = blocked(waiter, "UPDATE accounts SET id = 42")
            begun = self._watching.polls
            wait_until(lambda: self._watching.polls > begun + 3, message="it was watched")
            holder.commit()
            waits.result()


def test_every_database_is_dropped(server: EmbeddedServer) -> None:
    name = unique_name("test_shop")
    inside, outside = Watching(server.dsn(f"{name}_gw0")), Watching(server.dsn())
    workers = [Worker(server, f"{name}_gw{number}", outside) for number in range(2)]

    def suite() -> None:
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    try:
        outside.beside(lambda: inside.beside(suite))
        assert [worker.dropped for worker in workers] == [_ROUNDS] * 2
        assert {worker.name for worker in workers} & set(outside.opened), "names were looked up there"
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for worker in workers:
                drop_database(admin, worker.copy)
                drop_database(admin, worker.name)
