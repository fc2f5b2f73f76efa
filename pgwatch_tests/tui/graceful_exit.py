"""Runs the dashboard until its user leaves, or somebody ends it."""

from __future__ import annotations

import asyncio
import signal

from textual.app import App

from pgwatch_tests.tui.terminal import end_with_terminal


async def run_until_left(app: App[int]) -> int:
    """Runs the dashboard until its user leaves. Returns an exit code; SIGTERM makes it 143."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.exit, 143)
    end_with_terminal()
    try:
        result = await app.run_async()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    return app.return_code or result or 0
