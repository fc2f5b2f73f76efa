"""`pgwatch-tests locks --cancel`, `--terminate`, `--rollback-prepared`: ask, have it done, tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.settings.load import Settings

if TYPE_CHECKING:
    from pgwatch_tests.locks.actions.action import Action
    from pgwatch_tests.locks.graph.lock_graph import LockGraph

EXIT_CODES = {"done": 0, "refused": 2, "unconfirmed": 4, "in_vain": 4}

_WORST_FIRST = (EXIT_CODES["refused"], EXIT_CODES["unconfirmed"])
_PID = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What the command line asks for: some of one of the first three."""

    cancel: tuple[int, ...]
    terminate: tuple[int, ...]
    rollback_prepared: tuple[str, ...]
    yes: bool

    def __bool__(self) -> bool:
        return self.kinds > 0

    @property
    def kinds(self) -> int:
        """How many of the three are asked for."""
        return sum(map(bool, (self.cancel, self.terminate, self.rollback_prepared)))


# `--cancel`, `--terminate`, `--rollback-prepared` and `--yes`.
action_options = options.all_of(
    click.option(
        "--cancel",
        type=_PID,
        multiple=True,
        metavar="PID",
        help="Cancel this session's statement; print the outcome. May be given for several.",
    ),
    click.option(
        "--terminate",
        type=_PID,
        multiple=True,
        metavar="PID",
        help="End this session; print the outcome. May be given for several.",
    ),
    click.option(
        "--rollback-prepared",
        multiple=True,
        metavar="GID",
        help="Roll this prepared transaction back; print the outcome. May be given for several.",
    ),
    click.option("--yes", is_flag=True, help="Don't ask for confirmation."),
)


def run(settings: Settings, asked: ActionRequest) -> int:
    """Does what is asked for, one after the other. Returns the worst exit code: 0 done, 2 refused or no such
    session, 4 told but not seen to have worked, or in vain: the sessions it blocked still wait.

    Raises RefusedError if it may not be done or isn't confirmed, or if none of them is there; else what
    LiveSource.read_twice and locks.act.act raise.
    """
    if asked.kinds > 1:
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
    actions, refusals = _actions(graph, asked)
    if not actions:
        raise RefusedError("; ".join(refusals))
    for refusal in refusals:
        options.narrate(refusal)
    if not asked.yes:
        _ask(graph, actions)
    codes = [EXIT_CODES["refused"]] * bool(refusals)
    for action in actions:
        if asked.yes and isinstance(action, SessionAction):
            # Nobody was shown a statement: whatever it runs is meant.
            action = replace(action, query_start=None)
        outcome = asyncio.run(act(settings, action))
        click.echo(outcome_line(outcome))
        codes.append(EXIT_CODES[outcome.result])
    return next((code for code in _WORST_FIRST if code in codes), 0)


def _actions(graph: LockGraph, asked: ActionRequest) -> tuple[list[Action], list[str]]:
    """The actions on what is there, and why the others aren't possible."""
    from pgwatch_tests.locks.actions.action import on_prepared, on_session

    wanted: list[Callable[[], Action]] = [
        *(partial(on_session, graph, pid, "cancel") for pid in dict.fromkeys(asked.cancel)),
        *(partial(on_session, graph, pid, "terminate") for pid in dict.fromkeys(asked.terminate)),
        *(partial(on_prepared, graph, gid) for gid in dict.fromkeys(asked.rollback_prepared)),
    ]
    actions, refusals = [], []
    for make in wanted:
        try:
            actions.append(make())
        except RefusedError as error:
            refusals.append(str(error))
    return actions, refusals


def _ask(graph: LockGraph, actions: Sequence[Action]) -> None:
    from pgwatch_tests.reports.locks.action_text import (
        advice,
        consequence,
        cost,
        facts,
        question_about,
        question_of_all,
    )

    for action in actions:
        if len(actions) > 1:
            click.echo(question_about(graph, action).removesuffix("?"), err=True)
        lines = [f"{name:<12} {words}" for name, words in facts(graph, action)]
        lines += [consequence(graph, action), cost(graph, action)]
        lines += advice(graph, action, "use --terminate")
        for line in filter(None, lines):
            click.echo(line, err=True)
    options.confirm(question_about(graph, actions[0]) if len(actions) == 1 else question_of_all(actions))
