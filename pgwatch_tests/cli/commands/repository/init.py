"""`pgwatch-tests init`: sets a repository up, by new files beside what is there."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests import __version__
from pgwatch_tests.cli import options
from pgwatch_tests.errors import EXIT_CODES
from pgwatch_tests.kit.kit import PARTS, found_parts, plan_kit, written_parts
from pgwatch_tests.kit.plan import KIT_VERSION, Plan, PlannedFile, diff, write
from pgwatch_tests.kit.repository import read_repository
from pgwatch_tests.kit.runner_files import HelperStatements
from pgwatch_tests.text.plain_text import plain


@click.command("init", epilog="Example: pgwatch-tests init vitest github --dry-run")
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--directory",
    "-C",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The repository, or the package in it. Default: the working directory.",
)
@click.option("--dry-run", is_flag=True, help="Show the difference that it would make, and write nothing.")
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit with 1 if files of the kit are missing or older than this version's.",
)
@click.option("--force", is_flag=True, help="Overwrite files that were changed by hand, too.")
@click.pass_context
def command(
    ctx: click.Context, parts: tuple[str, ...], root: Path, dry_run: bool, check: bool, force: bool
) -> None:
    """Set a repository up for parallel tests on a shared PostgreSQL.

    PARTS are vitest, jest, playwright, pytest, github and gitlab; without any, those that fit what is found.
    It writes new files: a helper that names sessions and marks values, configurations that extend the
    suite's own, workflows. Nothing that is there is rewritten: lines to add are printed. Run again, it
    brings files up to date that nobody has changed.
    """
    if check and (dry_run or force):
        raise click.UsageError("--check writes nothing: leave out --dry-run and --force")
    from pgwatch_tests.postgres import queries

    repository = read_repository(root.resolve())
    chosen = tuple(part for part in PARTS if part in parts)
    if not chosen:
        chosen = (written_parts(repository) if check else ()) or found_parts(repository)
    statements = HelperStatements(
        queries.load("leaks/transaction_written"), queries.load("leaks/transaction_database")
    )
    plan = plan_kit(repository, chosen, statements, __version__)
    if check:
        ctx.exit(_check(plan))
    writing = plan.to_write(force=force)
    if dry_run:
        for line in diff(writing):
            click.echo(plain(line))
    else:
        write(repository.root, writing)
    for one in plan.files:
        options.narrate(_told(one, written=one in writing, dry_run=dry_run))
    _tell_lines(plan)


def _told(one: PlannedFile, *, written: bool, dry_run: bool) -> str:
    if written:
        done = {"new": "written", "older": "brought up to date"}.get(one.state, "overwritten")
        return f"{one.path}: {'would be ' if dry_run else ''}{done}"
    if one.state == "current":
        return f"{one.path}: up to date"
    if one.state == "newer":
        return f"{one.path}: of kit {one.kit}, newer than this version's {KIT_VERSION}, so it stays"
    return f"{one.path}: changed by hand, so it stays (--force overwrites it)"


def _check(plan: Plan) -> int:
    for one in plan.files:
        if one.state == "new":
            options.narrate(f"{one.path}: missing")
        elif one.is_outdated:
            options.narrate(f"{one.path}: {_outdated(one)}")
        else:
            options.narrate(_told(one, written=False, dry_run=False))
    return EXIT_CODES["findings" if any(one.is_outdated for one in plan.files) else "clean"]


def _outdated(one: PlannedFile) -> str:
    if one.kit == KIT_VERSION:
        return "not what this version writes for what is here now: run init again"
    return f"older than kit {KIT_VERSION}{', and changed by hand' if one.state == 'changed' else ''}"


def _tell_lines(plan: Plan) -> None:
    for one in plan.lines:
        click.echo(f"\n{plain(one.place)}: {one.why}", err=True)
        for line in one.text.splitlines():
            click.echo(f"    {plain(line)}", err=True)
