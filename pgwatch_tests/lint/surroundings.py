"""What is around a file of tests: fixtures, set-up files and the project, and how they isolate tests.

Fixtures are followed by their text: conftest.py of the directory and of those above with what they import,
and in TypeScript the runner's configuration with its set-up files and what the test imports from beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgwatch_tests.lint.model import Language

Isolation = Literal["none", "rollback", "own database"]

# Plain words, in lower case: an expression without regard to case takes ten times as long.
_OWN_DATABASE: dict[Language, tuple[str, ...]] = {
    "python": (
        *("worker_id", "pytest_xdist_worker", "create database", "create_database", "createdb"),
        *("testcontainers", "pytest_postgresql", "postgresql_proc", "databasejanitor", "pgwatch_database"),
        *("sqlite:", "aiosqlite", "sqlite3.connect"),
        *("pytest.mark.django_db", "django.test", "django_db", "rest_framework.test"),
    ),
    "typescript": (
        *("jest_worker_id", "vitest_pool_id", "vitest_worker_id", "test_parallel_index", "test_worker_index"),
        *("create database", "createdatabase", "createdb", "testcontainers", "containertest"),
        *("pglite", "pg-mem", "sqlite3", ":memory:", "libsql", "integrationtestrunner"),
        # pgsql-test and what is made of it give each file a database.
        *("pgsql-test", "drizzle-orm-test", "supabase-test", "createtestenvironment"),
    ),
}
_ROLLBACK = re.compile(
    r"\brollback\b|begin_nested|join_transaction_mode|\bROLLBACK\b|startTestTransaction|jest-prisma|vitest-prisma"
)
_ON_A_CONNECTION = re.compile(r"\bSession\(\s*(?:bind\s*=\s*)?\w*connection\b")
"""A session on a connection that somebody else has opened, and rolls back."""
_CLEANS = re.compile(
    r"TRUNCATE|truncate|drop_all|dropDatabase|DELETE FROM|deleteMany|\.del\(\)|delete\("
    r"|[cC]leanup|[cC]lean_?[dD]b|[rR]esetD|[rR]eset_?[dD]|[tT]ear_?[dD]own"
)
_HOOKS = re.compile(r"\b(?:before|after)(?:Each|All)\b|globalTeardown|\byield\b|def teardown")
_PYTHON_IMPORT = re.compile(
    r"^\s*from\s+(\.*[\w.]*)\s+import\s+\(?([\w, ]*)|^\s*import\s+([\w.]+)|[\"']([\w]+(?:\.\w+)+)[\"']", re.M
)
_TYPESCRIPT_IMPORT = re.compile(r"(?:from|import|require\()\s*\(?[\"'](\.{1,2}/[^\"']+|[@~]/[^\"']+)[\"']")
_PATH_IN_CONFIG = re.compile(
    r"[\"'](?:<rootDir>/|\./|\.\./)?([\w./@-]+\.(?:ts|js|mts|mjs|cjs|tsx)|[\w./-]*[sS]etup[\w./-]*)[\"']"
)
_CONFIGS = (
    "vitest.config",
    "vitest.workspace",
    "jest.config",
    "jest.setup",
    "vitest.setup",
    "vite.config",
    "playwright.config",
)
_ENDINGS = (".ts", ".tsx", ".mts", ".js", ".mjs", ".cjs", "")
_ABOUT_TESTS = re.compile(
    r"test|setup|e2e|spec|helper|fixture|support|mock|seed|util|conftest|factor|database"
)
_DJANGO = re.compile(r"django|\(\w*TestCase\)")
_POSTGRES = re.compile(r"psycopg|asyncpg|\bpg8000\b")
_PROJECT_FILES = ("pyproject.toml", "requirements.txt", "setup.cfg", "setup.py", "Pipfile", "uv.lock")
_MOST_FILES = 40
_LARGEST = 300_000  # bytes of a file that is only looked through
_HIGHEST = 12


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How the tests of a file are kept apart, by the file itself and by what is around it."""

    isolation: Isolation
    cleans: bool
    """Whether something around removes rows before or after tests."""
    postgres_by: Callable[[], bool]
    """Asks whether the project depends on a driver of PostgreSQL."""


class Neighbourhood:
    """Reads what is around files, each file once; one that can't be read counts as empty."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        self._imported: dict[str, tuple[str, ...]] = {}
        self._set_up: dict[str, tuple[str, ...]] = {}
        self._postgres: dict[str, bool] = {}
        self._held: dict[tuple[str, re.Pattern[str]], bool] = {}
        self._own: dict[tuple[str, Language], bool] = {}
        self._known: dict[str, Surroundings] = {}

    def around(self, path: str, text: str, language: Language) -> Surroundings:
        """What is around a file with that text."""
        if path not in self._known:
            self._known[path] = self._look_around(path, text, language)
        return self._known[path]

    def _look_around(self, path: str, text: str, language: Language) -> Surroundings:
        path = os.path.normpath(Path(path).absolute())
        files = self._python_files(path) if language == "python" else self._typescript_files(path, text)
        own = _is_own(text, language) or any(self._makes_its_own(one, language) for one in files)
        if not own and language == "python":
            own = self._is_django(path) and (
                _DJANGO.search(text) is not None or any(self._holds(one, _DJANGO) for one in files)
            )
        isolation: Isolation = "own database" if own else "none"
        on_one = language == "python" and _ON_A_CONNECTION.search(text) is not None
        if not own and (on_one or any(self._holds(one, _ROLLBACK) for one in files)):
            isolation = "rollback"
        cleans = any(self._holds(one, _CLEANS) and self._holds(one, _HOOKS) for one in files)
        return Surroundings(isolation, cleans, lambda: self._uses_postgres(_directory(path)))

    def _makes_its_own(self, path: str, language: Language) -> bool:
        key = (path, language)
        if key not in self._own:
            self._own[key] = _is_own(self._text(path), language)
        return self._own[key]

    def _text(self, path: str) -> str:
        if path not in self._texts:
            self._texts[path] = ""
            with suppress(OSError):
                if Path(path).is_file():  # a named pipe waits for its writer for ever
                    with Path(path).open("rb") as file:
                        self._texts[path] = file.read(_LARGEST).decode("utf-8", "replace")
        return self._texts[path]

    def _holds(self, path: str, pattern: re.Pattern[str]) -> bool:
        key = (path, pattern)
        if key not in self._held:
            self._held[key] = pattern.search(self._text(path)) is not None
        return self._held[key]

    def _names(self, directory: str) -> frozenset[str]:
        if directory not in self._listings:
            try:
                self._listings[directory] = frozenset(entry.name for entry in os.scandir(directory))
            except OSError:
                self._listings[directory] = frozenset()
        return self._listings[directory]

    def _is_file(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        with suppress(OSError):  # one may list a directory, and look at nothing in it
            return name in self._names(directory) and Path(path).is_file()
        return False

    def _upwards(self, directory: str) -> tuple[str, ...]:
        """The directory and those above it, up to the repository's top."""
        if directory not in self._chains:
            above = _directory(directory)
            at_top = ".git" in self._names(directory) or above == directory
            self._chains[directory] = (
                (directory,) if at_top else (directory, *self._upwards(above))[:_HIGHEST]
            )
        return self._chains[directory]

    def _python_files(self, path: str) -> list[str]:
        conftests = [
            f"{one}/conftest.py"
            for one in self._upwards(_directory(path))
            if "conftest.py" in self._names(one)
        ]
        seen = dict.fromkeys(conftests)
        waiting = [path, *conftests]
        while waiting and len(seen) < _MOST_FILES:
            for found in self._imports_of_python(waiting.pop(0)):
                if found not in seen and found != path:
                    seen[found] = None
                    waiting.append(found)
        return list(seen)

    def _imports_of_python(self, path: str) -> tuple[str, ...]:
        """The modules of tests that a Python module imports, or names as plugins."""
        if path not in self._imported:
            self._imported[path] = tuple(dict.fromkeys(self._find_python(path)))
        return self._imported[path]

    def _find_python(self, path: str) -> Iterator[str]:
        for relative, names, plain, plugin in _PYTHON_IMPORT.findall(self._text(path)):
            name = relative or plain or plugin
            if not _ABOUT_TESTS.search(name + names) and not name.startswith("."):
                continue
            dots = len(name) - len(name.lstrip("."))
            parts = [part for part in name.strip(".").split(".") if part]
            bases = self._upwards(_directory(path))
            for base in bases[dots - 1 : dots] if dots else bases:
                for tail in (
                    parts,
                    *([*parts, one.strip()] for one in names.split(",") if one.strip() and relative),
                ):
                    place = "/".join((base, *tail))
                    for file in (f"{place}.py", f"{place}/__init__.py"):
                        if tail and self._is_file(file):
                            yield file

    def _typescript_files(self, path: str, text: str) -> list[str]:
        """Set-up files of the runners above, and helpers that the file imports, two steps deep."""
        seen = dict.fromkeys(self._set_up_files(_directory(path)))
        waiting = [*self._imports_of_typescript(path, text), *seen]
        for file in waiting[:_MOST_FILES]:
            waiting += self._imports_of_typescript(file, self._text(file))
        for file in waiting:
            if len(seen) < _MOST_FILES and _ABOUT_TESTS.search(file):
                seen[file] = None
        return list(seen)

    def _set_up_files(self, directory: str) -> tuple[str, ...]:
        """The configurations of runners in a directory and above, and the files that these name."""
        if directory not in self._set_up:
            found: dict[str, None] = {}
            for name in sorted(one for one in self._names(directory) if one.startswith(_CONFIGS)):
                config = f"{directory}/{name}"
                found[config] = None
                for named in _PATH_IN_CONFIG.findall(self._text(config)):
                    if place := self._resolved(f"{directory}/{named}"):
                        found[place] = None
            above = self._upwards(directory)[1:2]
            self._set_up[directory] = (*found, *(self._set_up_files(above[0]) if above else ()))
        return self._set_up[directory]

    def _imports_of_typescript(self, path: str, text: str) -> tuple[str, ...]:
        if path not in self._imported:
            found: dict[str, None] = {}
            directory = _directory(path)
            for name in _TYPESCRIPT_IMPORT.findall(text):
                places = [f"{directory}/{name}"]
                if name[0] in "@~":
                    bases = self._upwards(directory)
                    places = [f"{base}/{source}{name[2:]}" for base in bases for source in ("", "src/")]
                file = next(filter(None, map(self._resolved, places)), None)
                if file is not None:
                    found[file] = None
            self._imported[path] = tuple(found)
        return self._imported[path]

    def _resolved(self, place: str) -> str | None:
        normal = os.path.normpath(place)
        directory, _, name = normal.rpartition("/")
        names = self._names(directory)
        stem = name.rpartition(".")[0] if name.endswith((".js", ".mjs")) else name
        for ending in _ENDINGS:
            if f"{stem}{ending}" in names and "." in f"{stem}{ending}":
                return f"{directory}/{stem}{ending}"
        if name in names:
            index = next(
                (one for one in ("index.ts", "index.tsx", "index.js") if one in self._names(normal)), None
            )
            return f"{normal}/{index}" if index else None
        return None

    def _is_django(self, path: str) -> bool:
        return any("manage.py" in self._names(one) for one in self._upwards(_directory(path)))

    def _uses_postgres(self, directory: str) -> bool:
        if directory not in self._postgres:
            files = [f"{directory}/{name}" for name in _PROJECT_FILES if name in self._names(directory)]
            above = self._upwards(directory)[1:2]
            here = any(self._holds(one, _POSTGRES) for one in files)
            self._postgres[directory] = here or bool(above and self._uses_postgres(above[0]))
        return self._postgres[directory]


def _is_own(text: str, language: Language) -> bool:
    """Whether a text says that its tests, or their worker, have a database of their own."""
    lower = text.lower()
    return any(word in lower for word in _OWN_DATABASE.get(language, ()))


def _directory(path: str) -> str:
    # Much cheaper than a Path, and asked for each file several times.
    return path.rpartition("/")[0] or "/"
