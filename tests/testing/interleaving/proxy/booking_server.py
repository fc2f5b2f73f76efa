"""A small HTTP server with a pool of asyncpg: `python booking_server.py DSN` prints its port.

POST /book?slot=7              looks whether the slot is free, then books it
POST /book?slot=7&lock=1       locks the slot first
POST /book?slot=7&late=1       answers before it commits
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

import asyncpg


async def serve(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked = {name: int(one[0]) for name, one in parse_qs(urlsplit(request.split()[1]).query).items()}
            slot = asked["slot"]

            def answer(text: str) -> None:
                if not writer.is_closing():
                    writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
                    writer.close()

            try:
                async with pool.acquire() as connection, connection.transaction():
                    if asked.get("lock"):
                        await connection.execute("SELECT FROM slot WHERE id = $1 FOR UPDATE", slot)
                    taken = await connection.fetchval("SELECT count(*) FROM booking WHERE slot = $1", slot)
                    if not taken:
                        await connection.execute("INSERT INTO booking (slot) VALUES ($1)", slot)
                    if asked.get("late"):
                        answer("taken" if taken else "booked")
                        await asyncio.sleep(0.005)
                answer("taken" if taken else "booked")
            except asyncpg.PostgresError as error:
                answer(error.sqlstate)

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
