"""`pgwatch-tests lint`: patterns in tests that break in parallel on a shared database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests import accepted_findings
from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.cli import accept_options, formats, options
from pgwatch_tests.cli.completion.values import comma_list, one_of
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.cli.runs.progress import Progress
from pgwatch_tests.errors import EXIT_CODES, ConfigurationError, PgwatchError
from pgwatch_tests.settings.load import Flags

if TYPE_CHECKING:
    from pgwatch_tests.lint.facts import DatabaseKeys
    from pgwatch_tests.lint.model import Finding, LintReport, Rule


def _rule_ids() -> tuple[str, ...]:
    from pgwatch_tests.lint.rules import RULES

    return tuple(RULES)


def _ids(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The callback of `--select` and `--ignore`: ids in comma lists. Raises click.BadParameter."""
    if not values:
        return ()
    from pgwatch_tests.lint.rules import RULES

    ids = tuple(filter(None, (part.strip() for value in values for part in value.split(","))))
    unknown = next((one for one in ids if one not in RULES and one != "all"), None)
    if unknown is not None:
        raise click.BadParameter(f"there is no rule {unknown!r}; rules are {', '.join(RULES)}")
    return ids


@click.command(
    "lint", epilog="Example: pgwatch-tests lint tests --dsn postgresql://localhost/app_test --fail"
)
@click.argument("paths", nargs=-1, type=options.AnyPath())
@click.option(
    "--select",
    multiple=True,
    metavar="RULE,…",
    callback=_ids,
    shell_complete=comma_list(lambda: ("all", *_rule_ids())),
    help="Check these rules only; all: also those that are off by default.",
)
@click.option(
    "--ignore",
    "leave_out",
    multiple=True,
    metavar="RULE,…",
    callback=_ids,
    shell_complete=comma_list(_rule_ids),
    help="Leave these rules out.",
)
@click.option(
    "--explain",
    metavar="RULE",
    shell_complete=one_of(_rule_ids),
    help="Print what a rule finds, why, and what to write instead.",
)
@click.option("--rules", "list_rules", is_flag=True, help="List the rules, a line each.")
@click.option(
    "--dsn",
    "-d",
    metavar="DSN",
    help="The tests' database decides the severity: whether a column is unique, which tables refer to one. "
    "Without it no database is asked. An empty string: where the other commands connect.",
)
@click.option(
    "--leaks",
    "leaks_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The document of `leaks --format json`: no-cleanup names the tests that left rows.",
)
@click.option(
    "--fail", is_flag=True, help="Exit with 1 if there are errors or warnings, with 4 if a file wasn't read."
)
@formats.format_option(
    formats.LINT, "table: a line per finding; json: the document pgwatch-tests.lint/1; github: annotations."
)
@options.output_file
@accept_options.accept_options
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    select: tuple[str, ...],
    leave_out: tuple[str, ...],
    explain: str | None,
    list_rules: bool,
    dsn: str | None,
    leaks_file: Path | None,
    fail: bool,
    form: Format,
    output: Path | None,
    accept: Path | None,
    write_accept: Path | None,
) -> None:
    """Find patterns in tests that break in parallel on a shared database: fixed data, sleeps, wiped tables.

    Reads tests in Python and, with the extra lint, in TypeScript and JavaScript below PATHS (default: here),
    and CI files. Runs nothing. A comment ignores a finding: pgwatch-lint: ignore[rule] and the reason, on its
    line or alone on the line above.
    """
    # Only here: --help must not load the rules.
    from pgwatch_tests.lint.check import check
    from pgwatch_tests.lint.facts import load_leaks

    if explain is not None or list_rules:
        options.emit(_explained(explain) if explain is not None else _listed(), output)
        return
    options.check_output(output)
    known = accept_options.check(accept, write_accept)
    leaks = None if leaks_file is None else load_leaks(leaks_file)
    keys = None if dsn is None else _keys(dsn)
    rules = _chosen(select, leave_out)
    with Progress("checking files", lambda done, _: f"checked {done:,} files") as progress:
        report = check(paths or (Path(),), rules, keys, leaks, lambda done: progress.show(done, 0))
    if known is not None:
        report = _without_accepted(report, known, accept, write_accept)
    options.emit(formats.render_lint(form, report), output, form)
    if fail:
        ctx.exit(EXIT_CODES["findings" if report.failing else "incomplete" if report.not_read else "clean"])


def _chosen(select: Sequence[str], leave_out: Sequence[str]) -> list[Rule]:
    from pgwatch_tests.lint.rules import RULES

    chosen = [
        rule
        for rule in RULES.values()
        if rule.id not in leave_out
        and (rule.id in select or "all" in select or (not select and rule.default))
    ]
    if not chosen:
        raise click.UsageError("no rule is left to check")
    return chosen


def _explained(rule_id: str) -> str:
    from pgwatch_tests.lint.rules import RULES

    rule = RULES.get(rule_id)
    if rule is None:
        raise ConfigurationError(f"there is no rule {rule_id!r}; rules are {', '.join(RULES)}")
    return f"{rule.id}: {rule.summary}\n\n{rule.explanation}\n→ {rule.help}"


def _listed() -> str:
    from pgwatch_tests.lint.rules import RULES

    width = max(map(len, RULES))
    return "\n".join(
        f"{rule.id:<{width}}  {rule.summary}{'' if rule.default else ' (off by default)'}"
        for rule in RULES.values()
    )


def _keys(dsn: str) -> DatabaseKeys:
    from pgwatch_tests.lint.facts import DatabaseKeys
    from pgwatch_tests.postgres import column_keys

    try:
        columns, references = column_keys.read(options.settings(Flags(dsn=dsn or None)))
    except PgwatchError:
        click.echo("not checked: the keys that decide the severity; without --dsn none is asked", err=True)
        raise
    return DatabaseKeys(
        frozenset((one.table, one.column) for one in columns),
        frozenset((one.table, one.column) for one in columns if one.is_unique),
        frozenset((one.referring, one.referred) for one in references),
    )


def _without_accepted(
    report: LintReport, known: Acceptance, accept: Path | None, write_accept: Path | None
) -> LintReport:
    """The report without findings that are accepted; by their rule, file, line of code and test."""
    if write_accept is not None:
        known = accept_options.write(write_accept, known, "lint", map(_finding, report.failing), accept)
    new = tuple(one for one in report.findings if known.entry_for(_finding(one)) is None)
    used = {known.entry_for(_finding(one)) for one in report.findings}
    stale = tuple(f"{one.kind} in {one.place}" for one in known.of("lint") if one not in used)
    return replace(report, findings=new, accepted=len(report.findings) - len(new), stale=stale)


def _finding(one: Finding) -> accepted_findings.Finding:
    return accepted_findings.Finding("lint", one.rule, f"{one.path}: {one.code}", one.test)
