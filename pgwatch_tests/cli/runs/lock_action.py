"""`pgwatch-tests locks --cancel`, `--terminate`, `--rollback-prepared`: ask, have it done, tell."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.settings.load import Settings

if TYPE_CHECKING:
    from pgwatch_tests.locks.actions.action import Action
    from pgwatch_tests.locks.graph.lock_graph import LockGraph

EXIT_CODES = {"done": 0, "refused": 2, "unconfirmed": 4, "in_vain": 4}

_PID = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What the command line asks for: at most one of the first three."""

    cancel: int | None
    terminate: int | None
    rollback_prepared: str | None
    yes: bool

    def __bool__(self) -> bool:
        return self.given > 0

    @property
    def given(self) -> int:
        """How many are asked for."""
        return sum(one is not None for one in (self.cancel, self.terminate, self.rollback_prepared))


# `--cancel`, `--terminate`, `--rollback-prepared` and `--yes`.
action_options = options.all_of(
    click.option(
        "--cancel",
        type=_PID,
        metavar="PID",
        help="Cancel this session's statement; print the outcome.",
    ),
    click.option("--terminate", type=_PID, metavar="PID", help="End this session; print the outcome."),
    click.option(
        "--rollback-prepared",
        metavar="GID",
        help="Roll this prepared transaction back; print the outcome.",
    ),
    click.option("--yes", is_flag=True, help="Don't ask for confirmation."),
)


def run(settings: Settings, asked: ActionRequest) -> int:
    """Does what is asked for. Returns its exit code: 0 done, 2 refused, 4 told but not seen to have worked,
    or in vain: the sessions it blocked still wait.

    Raises RefusedError if it may not be done, isn't confirmed, or there is no such session; else what
    LiveSource.read_twice and locks.act.act raise.
    """
    if asked.given > 1:
        raise click.UsageError("use only one of --cancel, --terminate and --rollback-prepared")
    if settings.read_only:
        raise RefusedError("sessions and transactions are left alone: read_only is set")
    options.check_may_ask(asked.yes)
    from pgwatch_tests.cli.runs.snapshot import read_locks
    from pgwatch_tests.locks.actions.action import SessionAction
    from pgwatch_tests.locks.actions.execution import act
    from pgwatch_tests.locks.graph.lock_graph import LockGraph
    from pgwatch_tests.reports.locks.action_text import outcome_line

    graph = LockGraph(read_locks(settings))
    action = _action(graph, asked)
    if not asked.yes:
        _ask(graph, action)
    elif isinstance(action, SessionAction):
        # Nobody was shown a statement: whatever it runs is meant.
        action = replace(action, query_start=None)
    outcome = asyncio.run(act(settings, action))
    click.echo(outcome_line(outcome))
    return EXIT_CODES[outcome.result]


def _action(graph: LockGraph, asked: ActionRequest) -> Action:
    from pgwatch_tests.locks.actions.action import on_prepared, on_session

    if asked.cancel is not None:
        return on_session(graph, asked.cancel, "cancel")
    if asked.terminate is not None:
        return on_session(graph, asked.terminate, "terminate")
    assert asked.rollback_prepared is not None
    return on_prepared(graph, asked.rollback_prepared)


def _ask(graph: LockGraph, action: Action) -> None:
    from pgwatch_tests.reports.locks.action_text import advice, facts, question

    lines = [f"{name:<12} {words}" for name, words in facts(graph, action)]
    for line in lines + advice(graph, action, "use --terminate"):
        click.echo(line, err=True)
    options.confirm(question(action))
