"""The command line: the list of all commands, how errors become exit codes, and completion."""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests import __version__
from pgwatch_tests.cli.streams import open_streams
from pgwatch_tests.errors import INTERNAL_ERROR, INTERRUPTED, PgwatchError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> its room in `commands`, its line in --help; it is `command` in the module of that name.
COMMANDS = {
    "dashboard": ("server", "Watch locks, sessions and leaks in the terminal (the default)."),
    "run": ("runs", "Run a test suite; record who blocks whom, and tell what it left."),
    "record": ("runs", "Record who waits for whom on a server, to replay or report it later."),
    "report": ("runs", "Report recorded runs: who blocked whom, deadlocks, leaks."),
    "junit": ("repository", "Report the JUnit files of many shards as one, and what is missing."),
    "history": ("runs", "Show the runs on record, and what comes again in them."),
    "serve": ("server", "Show the dashboard in your browser, here or through an SSH tunnel."),
    "demo": ("server", "Start a PostgreSQL with a flaky suite, and the dashboard on it."),
    "sessions": ("server", "Print who is connected, and what each does or waits for."),
    "locks": ("server", "Print who waits for whom, on what, and what to do."),
    "leaks": ("hygiene", "Count the test rows that were left behind."),
    "sweep": ("hygiene", "Remove the test data that was left behind, in foreign-key order."),
    "baseline": ("hygiene", "Save the state before a suite, for `leaks --since`."),
    "schedule": ("hygiene", "Sweep, or count leaks, by the clock."),
    "replay": ("runs", "Look at a recording as at a live server."),
    "init": ("repository", "Set a repository up: helper, configurations, CI workflows."),
    "lint": ("repository", "Find what breaks tests in parallel: fixed data, sleeps, wiped tables."),
    "doctor": ("server", "Say what works with this role, and print the GRANTs for the rest."),
}

BROKEN_PIPE = 141
_COMPLETION = "_PGWATCH_TESTS_COMPLETE"
_LONGEST_MESSAGE = 2_000  # characters


class _LazyGroup(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        position = next((n for n, argument in enumerate(args) if argument not in own), len(args))
        if position < len(args) and args[position].startswith("-"):
            # Options of no command: the default command's.
            args = [*args[:position], "dashboard", *args[position:]]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Returns commands with their lines in --help, and options, the default command's among them."""
        if not incomplete.startswith("-"):
            from click.shell_completion import CompletionItem

            return [
                CompletionItem(name, help=line)
                for name, (_, line) in COMMANDS.items()
                if name.startswith(incomplete)
            ]
        dashboard = self.get_command(ctx, "dashboard")
        assert dashboard is not None
        with click.Context(dashboard, info_name="dashboard") as of_dashboard:
            found = {item.value: item for item in dashboard.shell_complete(of_dashboard, incomplete)}
        return [*(found | {item.value: item for item in super().shell_complete(ctx, incomplete)}).values()]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns what click does; of a name that is no command, the error says what may be meant."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            raise click.UsageError(
                f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; of an option that it hasn't, the error says which commands have it."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            have_it = self._commands_with(ctx, error.option_name)
            if not have_it:
                raise
            one = "It is an option of" if len(have_it) == 1 else "It is one of"
            names = ", ".join(f"`pgwatch-tests {name}`" for name in have_it)
            raise click.UsageError(
                f"No such option {error.option_name!r} here. {one} {names}.", error.ctx
            ) from None

    def _commands_with(self, ctx: click.Context, option: str) -> list[str]:
        """Returns the names of all commands that take that option: `sweep`, `schedule run`."""
        found = []
        for name in COMMANDS:
            command = self.get_command(ctx, name)
            within = command.commands.items() if isinstance(command, click.Group) else ()
            all_of_it = [(name, command), *((f"{name} {inner}", one) for inner, one in within)]
            found += [
                full_name
                for full_name, one in all_of_it
                if one is not None and any(option in parameter.opts for parameter in one.params)
            ]
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        room, _ = COMMANDS[cmd_name]
        command: click.Command = import_module(f"pgwatch_tests.cli.commands.{room}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    "pgwatch-tests",
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s", prog_name="pgwatch-tests")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def group(ctx: click.Context, debug: bool) -> None:
    """Shows which test blocks which, and which test left rows behind, in a shared PostgreSQL.

    Without a command: the dashboard, which takes --dsn and its other options as well. Exit codes:
    0 clean, 1 findings (with --fail), 2 usage or configuration, 3 no connection, 4 incomplete (with
    --fail), 130 interrupted.
    """
    ctx.obj = debug
    if ctx.invoked_subcommand is None:
        dashboard = group.get_command(ctx, "dashboard")
        assert dashboard is not None
        with dashboard.make_context("dashboard", [], parent=ctx) as dashboard_ctx:
            dashboard.invoke(dashboard_ctx)


def main() -> None:
    """Runs the command line and leaves with the exit code that README promises."""
    open_streams()
    if _COMPLETION in os.environ:
        # Only for shells: it isn't needed for --help.
        from pgwatch_tests.cli.completion import shells

        shells.offer()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line. Returns its exit code; errors are one line on stderr."""
    debug = "--debug" in arguments
    stdout = sys.stdout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that can't take a letter gets its code, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        result = group.main(arguments, prog_name="pgwatch-tests", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show(text := io.StringIO())
        for line in text.getvalue().splitlines():
            click.echo(_in_a_line(line), err=True)
        if type(error) is click.UsageError and "://" in error.message:
            # An argument, not the value of an option.
            click.echo("A connection string is given by --dsn, or by DATABASE_URL.", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_is_closed()
    except SystemExit:
        # click swaps stdout when its pipe is closed, and leaves with a code that would read as "findings".
        if sys.stdout is not stdout:
            return _pipe_is_closed()
        raise
    except PgwatchError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"pgwatch-tests: {_in_a_line(_with_what_to_check(str(error)))}", err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # Python's own exit code for it would read as "findings"
        if debug:
            traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        click.echo(
            f"pgwatch-tests: internal error, please report it: {type(error).__name__} "
            f"in {Path(where.filename).name}:{where.lineno} (--debug shows more)",
            err=True,
        )
        return INTERNAL_ERROR


def _with_what_to_check(message: str) -> str:
    """An error's message; of a server that lets nobody in, with what to check."""
    if not message.startswith("cannot connect ("):
        return message
    # Only here: it isn't needed for --help.
    from pgwatch_tests.reports.verdict.no_connection import what_to_check

    check = what_to_check(message)
    return f"{message}. Check: {check}" if check else message


def _in_a_line(message: str) -> str:
    """Plain text without secrets. What somebody gave as a value may be very long: it is cut in its middle."""
    # Only here: it isn't needed for --help.
    from pgwatch_tests.text.plain_text import plain, shortened_middle
    from pgwatch_tests.text.secrets import mask_text

    return shortened_middle(plain(mask_text(message)), _LONGEST_MESSAGE)


def _pipe_is_closed() -> int:
    # The reader went away (`| head`): what Python flushes at exit must not complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
