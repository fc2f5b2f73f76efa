"""Fresh repositories for the kits, and what is run in them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kits.kit_server import KitServer

SHOP = Path(__file__).parent / "shop"
CHECKOUT = Path(__file__).resolve().parents[2]
_LIMIT_S = 300.0


class KitError(Exception):
    """A kit doesn't do what it says; the message has what was printed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kit is tried: an empty directory, and a server."""

    root: Path
    server: KitServer
    name: str

    @property
    def database(self) -> str:
        """Its database's name."""
        return f"test_{self.name}"

    def copy(self, *names: str) -> None:
        """Copies files and directories of the shop into the repository."""
        for name in names:
            source = SHOP / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, dirs_exist_ok=True)
            else:
                self.root.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, self.root / name)

    def write(self, name: str, text: str) -> None:
        """Writes a file of the repository."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")

    def run(
        self,
        command: Sequence[str],
        *,
        codes: Sequence[int] = (0,),
        variables: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> str:
        """Returns what a command prints. Raises KitError if it ends with another code than one of `codes`."""
        code, output = self._run(command, variables or {}, stdin)
        if code not in codes:
            raise KitError(f"{' '.join(command)} ended with {code}:\n{output[-16000:]}")
        return output

    def code(self, command: Sequence[str], *, variables: Mapping[str, str]) -> int:
        """Returns the exit code of a command; what it prints is kept in `<its --name>.log`."""
        code, output = self._run(command, variables, None)
        name = command[command.index("--name") + 1] if "--name" in command else "output"
        (self.root / f"{name}.log").write_text(output, encoding="utf-8")
        return code

    def _run(
        self, command: Sequence[str], variables: Mapping[str, str], stdin: str | None
    ) -> tuple[int, str]:
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self._environment(variables),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                input=stdin,
                timeout=_LIMIT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KitError(f"{' '.join(command)}: {error}") from error
        return done.returncode, done.stdout

    def pgwatch(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Returns what a command of pgwatch-tests prints."""
        return self.run([sys.executable, "-m", "pgwatch_tests", *arguments], codes=codes)

    def document(self, *arguments: str) -> Mapping[str, object]:
        """Returns the JSON document that a command of pgwatch-tests prints."""
        output = self.root / "document.json"
        self.pgwatch(*arguments, "--format", "json", "-o", str(output), codes=(0, 1, 4))
        document: dict[str, object] = json.loads(output.read_text(encoding="utf-8"))
        return document

    def _python(self) -> Path:
        program = self.root / "own tools" / "python"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        return program

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PG", "PYTEST", "GITHUB_", "VITEST"))
            and name not in ("CI", "DATABASE_URL")
        }
        return {
            **kept,
            "PYTHONPATH": str(CHECKOUT),
            "DATABASE_URL": self.server.url(self.database),
            # A path with a space in it, and words after it.
            "PGWATCH_COMMAND": f"'{self._python()}' -m pgwatch_tests",
            "NO_COLOR": "1",
            **variables,
        }


def expect(is_so: bool, what: str, seen: object = "") -> None:
    """Raises KitError unless it is so."""
    if not is_so:
        raise KitError(f"not so: {what}\n{seen}")
