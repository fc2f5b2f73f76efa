"""`--accept` and `--write-accept`, for each gate that lets known findings pass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from pgwatch_tests import accepted_findings
from pgwatch_tests.accepted_findings import Acceptance, Finding, GateName
from pgwatch_tests.cli import options
from pgwatch_tests.text.numbers import plural

# `--accept` as `accept`, `--write-accept` as `write_accept`.
accept_options = options.all_of(
    click.option(
        "--accept",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Let the findings pass that this file lists by kind, place and test, and count them apart; "
        "others fail. Entries that no finding matches any more are named.",
    ),
    click.option(
        "--write-accept",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=options.no_stdout,
        metavar="FILE",
        help="Write the findings of now to this file as accepted, and let them pass. Its entries of other "
        "gates, and its reasons, stay.",
    ),
)


def check(accept: Path | None, write_accept: Path | None) -> Acceptance | None:
    """The accepted findings; None if none of the options is there. To be called before anything is checked.

    Raises ConfigurationError if a file can't be read or written, or is something else.
    """
    options.check_output(write_accept)
    if accept is not None:
        return accepted_findings.load(accept)
    if write_accept is None:
        return None
    return accepted_findings.load(write_accept) if write_accept.exists() else Acceptance()


def write(
    path: Path,
    known: Acceptance,
    gate: GateName,
    findings: Iterable[Finding],
    accept: Path | None,
    keep: bool = False,
) -> Acceptance:
    """Writes what was found into the file of `--write-accept`. Returns what is accepted from now on.

    With `keep`, the gate's entries stay that nothing was found for.
    """
    base = known if accept is None or not path.exists() else accepted_findings.load(path)
    before = Acceptance({**known.reasons, **base.reasons})
    updated = before.with_findings_of(gate, {*findings, *(before.of(gate) if keep else ())})
    accepted_findings.save(path, updated)
    entries = len(updated.of(gate))
    options.narrate(f"{plural(entries, 'accepted finding')} of {gate} written to {path}")
    return updated
