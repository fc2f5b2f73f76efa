"""What a run was asked for, how it ended, and what it tells in the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.run.checks.fail_on import FailOn
from pgwatch_tests.run.guards import GuardOptions
from pgwatch_tests.settings.load import Flags

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

Tell = Callable[[str], None]
"""Shows a line to people: on stderr, since stdout is the command's."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `pgwatch-tests run` was asked for. Durations are seconds."""

    command: tuple[str, ...]
    flags: Flags = field(default_factory=Flags)
    directory: Path = Path("pgwatch-results")
    name: str = ""
    """The shard: its results are in a directory of this name below `directory`."""
    since: Baseline | None = None
    """The state to compare with, instead of that before the command."""
    any_rows: bool = False
    fail_on: FailOn = field(default_factory=FailOn)
    grace_s: float = 10.0
    every_s: float | None = None
    record: bool = True
    max_bytes: int | None = None
    sweep: bool = False
    junit: tuple[str, ...] = ()
    """Globs of the JUnit files that the command writes."""
    store: bool = False
    """Whether the run is put on record, also where the setting `history` doesn't say so."""
    guards: GuardOptions = field(default_factory=GuardOptions)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    exit_code: int
    interrupted: bool = False
    """The terminal's Ctrl-C has ended the command: a shell's loop around us is to end, too."""


@dataclass(slots=True)
class Notes:
    """What is told in the end: what couldn't be recorded or checked, and what is worth knowing."""

    not_checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def spared(self, what: str) -> Iterator[None]:
        """Lets no error of ours get out: it is told as something that wasn't done."""
        try:
            yield
        except PgwatchError as error:
            self.not_checked.append(f"{what}: {error}")
        except OSError as error:
            where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            self.not_checked.append(f"{what}: {where}{error.strerror or error}")
        except Exception as error:  # noqa: BLE001  # the suite's result counts, not ours
            self.not_checked.append(f"{what}: internal error, please report it: {error!r}")
