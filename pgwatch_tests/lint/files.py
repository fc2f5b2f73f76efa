"""Which files are checked, and their text: tests and what they use, wherever they are below some paths."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.lint.model import Language

_LANGUAGES: dict[str, Language] = {
    **dict.fromkeys((".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"), "typescript"),
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
}
_PRUNED = frozenset(
    [
        "node_modules",
        "venv",
        "env",
        "dist",
        "build",
        "out",
        "coverage",
        "target",
        "vendor",
        "site-packages",
        "__pycache__",
        "__snapshots__",
        "bower_components",
        "storybook-static",
        "htmlcov",
    ]
)
_DIRECTORY = re.compile(
    r"(?!types?-tests?$)(?:tests?|__tests?__|specs?|e2e|integration[-_]tests?|e2e[-_]tests?|[\w-]+-tests?"
    r"|test[-_](?:helpers?|utils?|support|fixtures?|lib|setup|factories|data))$",
    re.I,
)
_FILE = re.compile(
    r"(?:test_.*|.*_tests?|conftest|tests)\.py$|.*[._-](?:test|spec|e2e-spec|e2e)\.[cm]?[jt]sx?$"
    r"|(?:vitest|jest)[.-]setup\.[cm]?[jt]s$|setup-?[tT]ests?\.[cm]?[jt]s$"
)
_MADE_FOR_TESTS = re.compile(r"(?:migrations?|seeds?|seeders)$")
"""Folders of migrations and seeds: they set a database up, once."""
_NEVER_RUN = re.compile(r"\.(?:test-d|bench)\.[cm]?tsx?$")
"""Tests of types, and benchmarks: no suite runs them."""
_CI_FILE = re.compile(
    r"\.gitlab-ci\.ya?ml$|workflow.*\.ya?ml$|azure-pipelines.*\.ya?ml$|bitbucket-pipelines\.ya?ml$"
)
_CI_DIRECTORIES = (".github", ".circleci", ".gitlab", ".buildkite")
LARGEST = 5_000_000
"""Bytes of the largest file that is read: no test is larger."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to check."""

    path: Path
    shown: str
    """Its path as it is shown: relative to the working directory if it is below, with `/`."""
    language: Language


def find(paths: Sequence[Path]) -> Iterator[File]:
    """Yields each file once, sorted within directories; what is named itself is checked whatever its name.

    Links to directories aren't followed, nor worktrees of git, nor directories of packages and builds. Raises
    ConfigurationError for a path that isn't there or that nothing can be read of.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            is_directory = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            raise ConfigurationError(f"no such file or directory: {path}") from None
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
        for file in _walk(path, False, is_named=True) if is_directory else _named(path):
            try:
                status = file.path.stat()
            except OSError:
                continue  # a link that leads nowhere
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield file


def _named(path: Path) -> Iterator[File]:
    language = _LANGUAGES.get(path.suffix.lower())
    if language is None:
        raise ConfigurationError(
            f"{path} is no source that lint reads: it reads .py, .ts, .tsx, .js and .yml"
        )
    yield File(path, _shown(path), language)


def _walk(directory: Path, in_tests: bool, *, is_named: bool = False) -> Iterator[File]:
    """Yields the files below; a closed directory of tests itself, for `read` to say why."""
    in_tests = in_tests or _DIRECTORY.match(directory.resolve().name) is not None
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        if in_tests or is_named:
            yield File(directory, _shown(directory), "python")
        return
    if _MADE_FOR_TESTS.search(directory.name):
        in_tests = False  # only what has the name of a test in there
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if not _is_pruned(path):
                yield from _walk(path, in_tests)
            continue
        language = _LANGUAGES.get(path.suffix.lower())
        if language is None or not entry.is_file():
            continue
        if language == "yaml":
            wanted = _CI_FILE.search(entry.name) is not None or any(
                part in _CI_DIRECTORIES for part in path.parts
            )
        else:
            wanted = (in_tests or _FILE.match(entry.name) is not None) and not entry.name.endswith(
                (".d.ts", ".min.js")
            )
            wanted = wanted and _NEVER_RUN.search(entry.name) is None
        if wanted:
            yield File(path, _shown(path), language)


def _is_pruned(path: Path) -> bool:
    name = path.name
    if name in _PRUNED or (name.startswith(".") and name not in _CI_DIRECTORIES):
        return True
    git = path / ".git"
    try:
        if (path / "pyvenv.cfg").exists():
            return True
        # A worktree is another state of the same files.
        return git.is_file() and "/worktrees/" in git.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _shown(path: Path) -> str:
    return os.path.relpath(path).replace(os.sep, "/") if not path.is_absolute() else _below_here(path)


def _below_here(path: Path) -> str:
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()


def read(file: File) -> tuple[bytes, str]:
    """A file as UTF-8 and as text, without a byte order mark and CR. Raises ValueError with why not."""
    try:
        status = file.path.stat()
        if stat.S_ISDIR(status.st_mode):
            os.scandir(file.path).close()  # raises why
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no regular file")  # a named pipe waits for its writer for ever
        if status.st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST // 1_000_000} MB")
        data = file.path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or "can't be read") from None
    text = _decoded(data, file.language).replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace"), text


def _decoded(data: bytes, language: Language) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data.startswith(codecs.BOM_UTF8):
        return data.decode("utf-8-sig", "replace")
    if language == "python":
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            return data.decode(encoding)
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise ValueError(f"isn't in the encoding that it says: {error}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Only strings and comments can differ, and each byte stays one character.
        return data.decode("latin-1")
