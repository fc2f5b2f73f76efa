"""One program drawn by Textual's web driver: its process, and the packets to and from it.

A packet is a letter, a length of four bytes and so much payload (textual/drivers/web_driver.py): `D` what a
terminal would get, `M` a JSON object, `P` an encoded value. textual-serve's AppService speaks the same, but
starts its program by a shell, waits for its end for ever, and prints errors of it to stdout.
"""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_PRELUDE = b"__GANGLION__\n"
_PRELUDE_WITHIN_LINES = 10
_ENDS_WITHIN_S = 2.0
"""How long a program is waited for after each of: being asked, SIGTERM, SIGKILL."""
_ERRORS_KEPT = 8192  # bytes


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows of a terminal."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Program:
    """A command line, and what it finds in its environment besides ours."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    async def start(self, size: Size) -> RunningProgram:
        """Starts it in a terminal of that size. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *self.arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={
                **self.environment,
                "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
                "TEXTUAL_COLOR_SYSTEM": "truecolor",
                "COLUMNS": str(size.width),
                "ROWS": str(size.height),
            },
            # Ctrl-C is for the server, which ends its programs one by one.
            start_new_session=True,
        )
        return RunningProgram(process)


class RunningProgram:
    """The process of one tab."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._errors = b""
        self._reading_errors = asyncio.create_task(self._keep_errors())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def packets(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yields the letter and payload of each packet until the program has nothing more to say."""
        output = self._process.stdout
        assert output is not None
        with suppress(asyncio.IncompleteReadError, ValueError):
            for _ in range(_PRELUDE_WITHIN_LINES):
                if await output.readline() == _PRELUDE:
                    break
            while True:
                head = await output.readexactly(5)
                yield head[:1], await output.readexactly(int.from_bytes(head[1:], "big"))

    async def type(self, text: str) -> None:
        """Sends what a terminal would: keys, and reports of the mouse."""
        await self._send(b"D", text.encode("utf-8", "ignore"))

    async def tell(self, **what: str | int | None) -> None:
        """Sends a message of the driver's own."""
        await self._send(b"M", json.dumps(what).encode())

    async def resize(self, size: Size) -> None:
        """Tells it that its terminal has another size."""
        await self.tell(type="resize", width=size.width, height=size.height)

    async def _send(self, letter: bytes, payload: bytes) -> None:
        entry = self._process.stdin
        assert entry is not None
        with suppress(ConnectionError, RuntimeError):  # it has ended, which `packets` tells
            entry.write(letter + len(payload).to_bytes(4, "big") + payload)
            await entry.drain()

    async def end(self) -> tuple[int, str]:
        """Has it quit, with force if it must be. Returns its exit code, and the last line of its stderr."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self.tell(type="quit")
                await self._process.wait()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None:
                break
            with suppress(TimeoutError, ProcessLookupError):
                self._process.send_signal(number)
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await self._process.wait()
        code = await self._process.wait()
        with suppress(TimeoutError):  # something that it left behind may hold its stderr
            await asyncio.wait_for(self._reading_errors, _ENDS_WITHIN_S)
        lines = self._errors.decode("utf-8", "replace").split("\n")
        return code, next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def _keep_errors(self) -> None:
        errors = self._process.stderr
        assert errors is not None
        while more := await errors.read(_ERRORS_KEPT):
            self._errors = (self._errors + more)[-_ERRORS_KEPT:]
