"""What the processes of one test run share: the run's id, and the directory of its logs."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from pgwatch_tests.testing.identifiers import RUN_VARIABLE, run_id

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

    @classmethod
    def of(cls, config: pytest.Config) -> SharedRun:
        """Returns the run that this process belongs to; begins it in the controller.

        Programs that a test starts get the id from the environment. Raises ConfigurationError if the
        environment holds one that is none.
        """
        given = getattr(config, "workerinput", {}).get(_KEY)
        if isinstance(given, dict):
            shared = cls(**given)
        else:
            directory = _log_directory(config)
            shared = cls(
                run_id(),
                str(directory or Path(tempfile.mkdtemp(prefix="pgwatch-")).absolute()),
                worker="",
                session=secrets.token_hex(4),
                is_temporary=not directory,
            )
        os.environ[RUN_VARIABLE] = shared.run
        return shared

    def remove_logs(self) -> None:
        """Removes the directory, if it is a temporary one, in the controller."""
        if self.is_temporary and not self.worker:
            shutil.rmtree(self.log_directory, ignore_errors=True)

    def hand_to(self, workerinput: dict[str, object]) -> None:
        """Hands the run to a worker of pytest-xdist that is about to start."""
        workerinput[_KEY] = {**asdict(self), "worker": workerinput["workerid"]}


def _log_directory(config: pytest.Config) -> Path | None:
    """Returns where logs are to be kept: by the command line, else the environment, else the settings."""
    if given := config.getoption("--pgwatch-log"):
        return config.rootpath / str(given)
    if of_environment := os.environ.get(LOG_VARIABLE):
        return Path(of_environment).absolute()
    of_settings = config.getini("pgwatch_log")
    return config.rootpath / str(of_settings) if of_settings else None
