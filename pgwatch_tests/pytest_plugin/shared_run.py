"""What the processes of one test run share: the run's id, and the directory of its logs."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.value_tokens import RUN_VARIABLE
from pgwatch_tests.pytest_plugin.log_directories import (
    hold_log_directory,
    make_log_directory,
    remove_log_directory,
    remove_ownerless_directories,
)
from pgwatch_tests.testing.identifiers import run_id

LOG_VARIABLE = "PGWATCH_LOG_DIR"
"""The environment variable by which `pgwatch-tests run` says where logs go."""

_KEY = "pgwatch"


@dataclass(frozen=True, slots=True)
class SharedRun:
    """One test run, as its controller began it."""

    run: str
    """8 hex digits, see `testing.run_id`."""
    log_directory: str
    worker: str
    """`gw0`; empty in the controller, and where there are no workers."""
    session: str = ""
    """Tells the files of this session of pytest from those of another in the same directory."""
    is_temporary: bool = False
    """Whether the directory is removed with the end of the session."""
    held: int | None = field(default=None, compare=False)
    """What holds a temporary directory while this process lives."""

    @classmethod
    def of(cls, config: pytest.Config) -> SharedRun:
        """Returns the run that this process belongs to; begins it in the controller.

        Programs that a test starts get the id from the environment. Raises ConfigurationError if the
        environment holds one that is none, or the logs can't be written.
        """
        given = getattr(config, "workerinput", {}).get(_KEY)
        if isinstance(given, dict):
            held = hold_log_directory(Path(given["log_directory"])) if given["is_temporary"] else None
            shared = cls(**given, held=held)
        else:
            run, session = run_id(), secrets.token_hex(4)
            directory = _log_directory(config)
            if directory is not None:
                if not config.option.collectonly:
                    _check_writable(directory)
                shared = cls(run, str(directory), worker="", session=session)
            else:
                temporary, held = _temporary_directory()
                shared = cls(run, str(temporary), "", session, is_temporary=True, held=held)
        os.environ[RUN_VARIABLE] = shared.run
        return shared

    def remove_logs(self) -> None:
        """Removes the directory, if it is a temporary one, in the controller."""
        if self.is_temporary and not self.worker:
            remove_log_directory(Path(self.log_directory), self.held)

    def is_alone_in(self, database: str) -> bool:
        """Whether no other worker of the run writes to a database, as far as its name says."""
        worker = self.worker
        return not worker or re.search(rf"(?<![0-9A-Za-z]){re.escape(worker)}$", database) is not None

    def hand_to(self, workerinput: dict[str, object]) -> None:
        """Hands the run to a worker of pytest-xdist that is about to start."""
        workerinput[_KEY] = {
            "run": self.run,
            "log_directory": self.log_directory,
            "worker": workerinput["workerid"],
            "session": self.session,
            "is_temporary": self.is_temporary,
        }


def _check_writable(directory: Path) -> None:
    """Raises ConfigurationError for a directory in which nothing can be written: not once tests have run."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"the logs of the run can't be written to {directory} ({error.strerror}): "
            "--pgwatch-log, PGWATCH_LOG_DIR or pgwatch_log says so"
        ) from None


def _temporary_directory() -> tuple[Path, int | None]:
    remove_ownerless_directories()
    try:
        return make_log_directory()
    except OSError as error:
        raise ConfigurationError(
            f"no temporary directory can be made for the logs of the run ({error.strerror or error}): "
            "set TMPDIR, or give --pgwatch-log"
        ) from None


def _log_directory(config: pytest.Config) -> Path | None:
    """Returns where logs are to be kept: by the command line, else the environment, else the settings."""
    if given := config.getoption("--pgwatch-log"):
        return config.rootpath / str(given)
    if of_environment := os.environ.get(LOG_VARIABLE):
        return Path(of_environment).absolute()
    of_settings = config.getini("pgwatch_log")
    return config.rootpath / str(of_settings) if of_settings else None
