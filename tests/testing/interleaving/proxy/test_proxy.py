"""The proxy itself: who may enter, how it ends, and what it says of actors that don't behave."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psycopg
import pytest

from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.testing import InterleaveProxy, interleave_requests_async
from pgwatch_tests.testing.interleaving.proxy.proxy_directory import remove_left_directories
from pgwatch_tests.testing.interleaving.proxy.wire import Splitter, error_fields
from tests.testing.interleaving.conftest import Shop
from tests.waiting import PATIENCE_S

HOLDS_A_PROXY = """
import sys, time
from pgwatch_tests.testing import InterleaveProxy
with InterleaveProxy(sys.argv[1]) as proxy:
    print(proxy.dsn, flush=True)
    time.sleep(60)
"""


def directory(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


def test_it_is_its_users_own_and_ends_with_its_block(shop: Shop) -> None:
    with InterleaveProxy(shop.dsn) as proxy:
        place = directory(proxy.dsn)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert [directory(one).parent for one in proxy.dsns] == [place] * 4
        connections = [psycopg.connect(one) for one in (proxy.dsn, *proxy.dsns)]
    assert not place.exists()
    assert "interleave proxy" not in {one.name for one in threading.enumerate()}
    for connection in connections:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.dsn)
    with pytest.raises(CannotConnectError), InterleaveProxy(proxy.dsn):
        pass


def test_who_connects_while_it_ends_is_refused(shop: Shop) -> None:
    with InterleaveProxy(shop.dsn) as proxy, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        held = threading.Event()
        assert proxy._loop is not None
        proxy._loop.call_soon_threadsafe(held.wait)
        client.connect(str(directory(proxy.dsns[1]) / ".s.PGSQL.5432"))
        ending = threading.Thread(target=proxy.__exit__, args=(None, None, None))
        stopping = proxy._stopping
        assert stopping is not None
        proxy._loop.call_soon_threadsafe(stopping.set)
        ending.start()
        held.set()
        ending.join(PATIENCE_S)
        # Whether it was still in the listener's queue or had been taken from it.
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
    gc.collect()  # what was left open is told now, as an error


@pytest.mark.parametrize("name", ["x" * 60, "a,b"])
def test_it_is_elsewhere_where_sockets_cannot_be(
    name: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    with InterleaveProxy(shop.dsn) as proxy:
        assert tmp_path not in directory(proxy.dsn).parents
        for dsn in (proxy.dsn, *proxy.dsns):
            psycopg.connect(dsn).close()


def test_a_killed_process_leaves_no_proxy(shop: Shop, python: str) -> None:
    with subprocess.Popen(
        [python, "-c", HOLDS_A_PROXY, shop.dsn], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        dsn = process.stdout.readline().strip()
        remove_left_directories()
        with psycopg.connect(dsn) as connection:
            process.send_signal(signal.SIGKILL)
            process.wait()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    assert directory(dsn).exists()
    with InterleaveProxy(shop.dsn):
        assert not directory(dsn).exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_the_proxy_to_its_parent(shop: Shop) -> None:
    """Else a server that was forked would keep its sockets open, and its end would remove the directory."""
    with InterleaveProxy(shop.dsn) as proxy, psycopg.connect(proxy.dsn) as connection:
        child = os.fork()
        if not child:
            proxy.__exit__(None, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        try:
            assert connection.execute("SELECT 2").fetchone() == (2,)
            psycopg.connect(proxy.dsn).close()
            proxy.__exit__(None, None, None)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 2")
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_who_speaks_another_protocol_is_told(shop: Shop) -> None:
    with InterleaveProxy(shop.dsn) as proxy, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory(proxy.dsn) / ".s.PGSQL.5432"))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        (told,) = Splitter("server").feed(client.makefile("rb").read())
        assert error_fields(told.body)["C"] == "08P01"


async def test_a_transaction_that_is_left_open_is_rolled_back_or_told(shop: Shop) -> None:
    async with InterleaveProxy(shop.dsn) as proxy:
        connections = [await asyncpg.connect(one) for one in proxy.dsns[:2]]

        async def leaves(slot: int) -> None:
            await connections[0].execute("BEGIN")
            await connections[0].execute("UPDATE slot SET taken = 1 WHERE id = $1", slot)

        async def waits(slot: int) -> str:
            return str(await connections[1].execute("SELECT FROM slot WHERE id = $1 FOR SHARE", slot))

        async def looks(slot: int) -> int:
            return int(await connections[1].fetchval("SELECT taken FROM slot WHERE id = $1", slot))

        seen = set()
        found = await interleave_requests_async(
            proxy, leaves, looks, setup=shop.slot, max_schedules=1,
            invariant=lambda slot, _: seen.add(
                shop.administrator.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone()
            ),
        )  # fmt: skip
        assert found.notes == ("actor A ended with a transaction open: it was rolled back",)
        assert seen == {(0,)}
        found = await interleave_requests_async(
            proxy, leaves, waits, setup=shop.slot, invariant=lambda *_: True, step_timeout_s=1
        )
        for connection in connections:
            connection.terminate()
    assert found.trouble == (
        "no actor can go on: actor B waits for A, which has ended with its transaction open"
    )


async def test_a_lost_session_is_an_error_of_the_function(shop: Shop) -> None:
    async def terminated(slot: int, dsn: str) -> str:
        connection = await asyncpg.connect(dsn)
        await connection.execute("BEGIN")
        await connection.execute("UPDATE slot SET taken = 1 WHERE id = $1", slot)
        shop.administrator.execute("SELECT pg_terminate_backend(%s)", [connection.get_server_pid()])
        try:
            await connection.execute("SELECT taken FROM slot")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return "lost"
        return "not lost"

    async def reads(slot: int, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("UPDATE slot SET taken = 2 WHERE id = $1", slot)
        finally:
            await connection.close()

    outcomes = set()
    found = await interleave_requests_async(
        shop.dsn, terminated, reads, setup=shop.slot,
        invariant=lambda _, outcomes_: outcomes.add(tuple(one.signature for one in outcomes_)),
    )  # fmt: skip
    assert not found.trouble
    assert outcomes == {("'lost'", "None")}


async def test_one_that_sends_two_at_once_is_told(shop: Shop) -> None:
    async def both(slot: int, dsn: str) -> None:
        async with asyncpg.create_pool(dsn, min_size=2) as pool:
            await asyncio.gather(
                *(pool.fetchval("SELECT taken FROM slot WHERE id = $1", slot) for _ in range(2))
            )

    found = await interleave_requests_async(
        shop.dsn, both, both, setup=shop.slot, invariant=lambda *_: True, step_timeout_s=1
    )
    assert "actor A runs two statements at once" in found.trouble


async def test_one_that_goes_past_the_proxy_is_told(shop: Shop) -> None:
    async def direct(slot: int, dsn: str) -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return int(await connection.fetchval("SELECT taken FROM slot WHERE id = $1", slot))
        finally:
            await connection.close()

    async def past(slot: int, _: str) -> int:
        return await direct(slot, shop.dsn)

    found = await interleave_requests_async(shop.dsn, direct, past, setup=shop.slot)
    assert "actor B made no step in any schedule" in found.trouble
    assert "connect by its connection strings" in found.trouble
