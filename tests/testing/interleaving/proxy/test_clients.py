"""Other clients of the proxy: SQLAlchemy, a server in another process, psycopg with all that libpq can."""

from __future__ import annotations

import asyncio
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing import (
    InterleaveProxy,
    interleave_requests,
    interleave_requests_async,
    replay_requests,
)
from tests.servers.sessions import MakeRole
from tests.testing.interleaving.conftest import Shop, booker


@pytest.fixture
def proxy(shop: Shop) -> Iterator[InterleaveProxy]:
    with InterleaveProxy(shop.dsn) as opened:
        yield opened


@pytest.fixture
def booking_server(proxy: InterleaveProxy, python: str) -> Iterator[str]:
    """The URL of a server in another process, whose pool leads through the proxy."""
    program = Path(__file__).with_name("booking_server.py")
    with subprocess.Popen([python, program, proxy.dsn], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


async def test_sqlalchemy_with_asyncpg(shop: Shop, proxy: InterleaveProxy) -> None:
    engine = create_async_engine(proxy.dsn.replace("postgresql:", "postgresql+asyncpg:"), pool_pre_ping=True)

    def counter(select: str, update: str) -> Callable[[int], object]:
        async def count(slot: int) -> None:
            async with engine.begin() as connection:
                taken = (await connection.execute(text(select), {"slot": slot})).scalar_one()
                await connection.execute(text(update), {"slot": slot, "taken": taken + 1})

        return count

    read, write = "SELECT taken FROM slot WHERE id = :slot", "UPDATE slot SET taken = :taken WHERE id = :slot"
    try:
        bad = await interleave_requests_async(
            proxy, *[counter(read, write)] * 2, setup=shop.slot, isolation="READ COMMITTED"
        )
        assert bad.complete, bad
        assert "the rows that were written are those of no serial order" in bad.bad[0].reason
        assert len(bad.bad[0].steps) == 6
        mended = await interleave_requests_async(
            proxy, *[counter(f"{read} FOR UPDATE", write)] * 2, setup=shop.slot
        )
        mended.assert_holds()
        assert mended.complete, mended
    finally:
        await engine.dispose()


def test_a_server_in_another_process(shop: Shop, proxy: InterleaveProxy, booking_server: str) -> None:
    def request(more: str) -> Callable[[int], str]:
        def book(slot: int) -> str:
            url = f"{booking_server}/book?slot={slot}{more}"
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=20) as answer:
                return str(answer.read().decode())

        return book

    bad = interleave_requests(proxy, request(""), request(""), setup=shop.slot, isolation="READ COMMITTED")
    assert bad.complete, bad
    assert {one.reason for one in bad.bad} == {
        "in no serial order (A 'booked', B 'taken' | A 'taken', B 'booked')"
    }
    again = replay_requests(bad.bad[0].id, proxy, request(""), request(""), setup=shop.slot)
    assert [one.id for one in again.bad] == [bad.bad[0].id]

    mended = interleave_requests(proxy, request("&lock=1"), request("&lock=1"), setup=shop.slot)
    mended.assert_holds()
    assert mended.complete, mended

    # What commits only after it has answered belongs to its actor all the same.
    late = interleave_requests(
        proxy, request("&late=1"), request("&late=1&lock=1"), setup=shop.slot, isolation="READ COMMITTED"
    )
    assert late.bad, late
    assert not late.notes
    assert all(one.letters.count("A") == 3 for one in late.bad)


async def test_two_who_run_on_at_once_are_told_apart(shop: Shop, proxy: InterleaveProxy) -> None:
    """Autocommit and one pool: when A commits, B goes on too, each with whatever connection is free."""
    async with asyncpg.create_pool(proxy.dsn, min_size=3, max_size=6) as pool:

        async def first(slot: int) -> object:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = $1", slot)
            return await pool.fetchval("SELECT count(*) FROM booking WHERE slot = $1", slot)

        async def second(slot: int) -> object:
            await pool.execute("UPDATE slot SET taken = taken + 10 WHERE id = $1", slot)
            return await pool.fetchval("SELECT taken FROM slot WHERE id = $1", slot)

        found = await interleave_requests_async(
            proxy, first, second, setup=shop.slot, invariant=lambda *_: True, max_preemptions=None
        )
        assert found.complete, found
        assert not found.trouble
        assert not found.notes


def test_names_tell_actors(shop: Shop, proxy: InterleaveProxy) -> None:
    """A name that is set late, on a connection that is open already, tells too."""
    with psycopg.connect(proxy.dsn) as a, psycopg.connect(proxy.dsn, application_name="x interleave B") as b:
        a.execute("SET application_name = 'interleave A'")
        a.commit()
        found = interleave_requests(
            proxy, booker(a, "a"), booker(b, "b"), setup=shop.slot, isolation="READ COMMITTED"
        )
        assert found.complete, found
        assert found.bad
        # Swapped, the actors wait for each other's gates.
        swapped = interleave_requests(
            proxy,
            booker(b, "a"),
            booker(a, "b"),
            setup=shop.slot,
            invariant=lambda *_: True,
            step_timeout_s=0.5,
        )
        assert "actor A has neither come to its next statement nor ended" in swapped.trouble


def test_psycopg_with_all_that_libpq_can(shop: Shop, proxy: InterleaveProxy) -> None:
    with psycopg.connect(proxy.dsns[0], prepare_threshold=0) as a, psycopg.connect(proxy.dsns[1]) as b:

        def write(slot: int) -> list[object]:
            with a.cursor() as cursor:
                with cursor.copy("COPY booking (slot, who) FROM STDIN") as copy:
                    for _ in range(3):
                        copy.write_row((slot, "x"))
                with pytest.raises(psycopg.DataError), cursor.copy("COPY booking (slot) FROM STDIN") as copy:
                    copy.write(b"no number\n")
            a.rollback()
            with a.pipeline():
                for who in "yz":
                    a.execute("INSERT INTO booking (slot, who) VALUES (%s, %s)", [slot, who])
            with a.cursor("named") as cursor:
                found: list[object] = list(cursor.execute("SELECT who FROM booking WHERE slot = %s", [slot]))
            with a.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                found.append(b"".join(bytes(one) for one in copy))
            a.commit()
            return found

        def read(slot: int) -> object:
            with b.transaction():
                return b.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()

        seen = set()
        found = interleave_requests(
            proxy, write, read, setup=shop.slot,
            invariant=lambda _, outcomes: seen.add(tuple(one.signature for one in outcomes)),
        )  # fmt: skip
        found.assert_holds()
        assert found.complete, found
        written = "[('y',), ('z',), b'1\\n']"
        assert seen == {(written, "(0,)"), (written, "(2,)")}


async def test_a_request_to_cancel_goes_through(proxy: InterleaveProxy, shop: Shop) -> None:
    connection = await asyncpg.connect(proxy.dsn)
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(30)", timeout=0.1)
        # asyncpg goes on once the server has answered.
        assert await asyncio.wait_for(connection.fetchval("SELECT 2"), 10) == 2
    finally:
        await connection.close()


def test_a_password_goes_through_on_loopback(server: EmbeddedServer, shop: Shop, make_role: MakeRole) -> None:
    """SCRAM between client and server, with a password that a URL must escape. TLS is declined."""
    role = make_role()
    shop.administrator.execute("SET password_encryption = 'scram-sha-256'")
    shop.administrator.execute(sql.SQL("ALTER ROLE {} PASSWORD 'a b/c@d:%'").format(sql.Identifier(role)))
    rules = server.data_directory / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        shop.administrator.execute("SELECT pg_reload_conf()")
        dsn = psycopg.conninfo.make_conninfo(shop.dsn, user=role, password="a b/c@d:%")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(dsn, password="wrong")
        with InterleaveProxy(dsn, tcp=True) as proxy:
            assert "127.0.0.1" in proxy.dsn
            with psycopg.connect(proxy.dsn) as connection:
                assert connection.execute("SELECT current_user").fetchone() == (role,)
                assert not connection.pgconn.ssl_in_use
            with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
                psycopg.connect(proxy.dsn, sslmode="require")
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(proxy.dsn, password="wrong")
    finally:
        rules.write_text(before)
        shop.administrator.execute("SELECT pg_reload_conf()")
