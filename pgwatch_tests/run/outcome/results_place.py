"""The place of a run's results: two runs' files are never mixed, and nothing that isn't ours is removed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pgwatch_tests.record.results import ResultsDirectory

_IGNORE = ".gitignore"


class ResultsPlace:
    """Chooses the directory: an earlier run's files make room for this one's.

    Where another run is at work, or files of our names aren't of a run, it is a directory below, `run-<id>`.
    """

    def __init__(self, directory: Path, name: str, run: str) -> None:
        self._base = directory
        self._path = directory / name if name else directory
        self._run = run
        self.remark = ""
        """A sentence, if the place isn't the one that was asked for."""

    def open(self, held: ExitStack) -> ResultsDirectory:
        """Makes and empties the directory, and holds it until `held` ends. Raises OSError."""
        is_new = not self._base.exists()
        self._path.mkdir(parents=True, exist_ok=True)
        if is_new:
            # As pytest does with its cache: results aren't for the repository.
            (self._base / _IGNORE).write_text("*\n", encoding="ascii")
        results = ResultsDirectory(self._path.absolute())
        if not held.enter_context(results.held()):
            return self._beside(held, "another run is at work in it")
        if results.has_files and not results.is_of_earlier_run():
            return self._beside(held, "it has files of these names that are of no run")
        results.clear()
        return results

    def _beside(self, held: ExitStack, why: str) -> ResultsDirectory:
        path = self._path / f"run-{self._run}"
        path.mkdir(exist_ok=True)
        results = ResultsDirectory(path.absolute())
        held.enter_context(results.held())
        self.remark = f"results go to {path}, not to {self._path}: {why}"
        return results
