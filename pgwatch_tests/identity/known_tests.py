"""Known tests by the hash that application names and values carry, and the files that list tests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import files_below, fitting_files, is_directory, is_pattern, open_file
from pgwatch_tests.identity.application_name import TestIdentity, digest, parse, printable
from pgwatch_tests.identity.test_ids import possible_ids

# With any byte order mark, and in UTF-16.
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<")
_CHUNK = 8_192
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# pytest's last line: `26 tests collected in 0.05s`, `3/5 tests collected (2 deselected) in 0.01s`.
_SUMMARY = re.compile(r"=*\s*(?:no|[0-9]+(?:/[0-9]+)?) tests? collected\b.*\bin [0-9.]+s\b.*")


class KnownTests:
    """Tests by the hash that values carry: of logs, of lists, of sessions seen."""

    def __init__(self, tests: Iterable[str] = (), application_names: Iterable[str] = ()) -> None:
        self._by_digest: defaultdict[str, set[str]] = defaultdict(set)
        for test in tests:
            self._by_digest[digest(test)].add(test)
        for identity in filter(None, map(parse, application_names)):
            if identity.test == f"#{identity.digest}":
                continue
            # A shortened name is only for want of the full one.
            known = self._by_digest[identity.digest or digest(identity.test)]
            if not known or identity.digest is None:
                known.add(identity.test)

    def with_digest(self, hex_digest: str) -> Collection[str]:
        """The tests that have this hash: one, as a rule; none if it is unknown."""
        return self._by_digest.get(hex_digest, ())

    def full_id(self, identity: TestIdentity) -> str | None:
        """The id of a test that is shortened, or only a hash. None if it isn't, or if not one test fits."""
        if identity.digest is None:
            return None
        end = "" if identity.test == f"#{identity.digest}" else identity.test.removeprefix("..")
        fitting = [test for test in self.with_digest(identity.digest) if printable(test).endswith(end)]
        return fitting[0] if len(fitting) == 1 else None


def read_test_list(path: Path) -> tuple[str, ...]:
    """Returns the test ids of a file: one per line, as `pytest --collect-only -q` prints them, or a JUnit
    report; of a pattern (`artifacts/*/junit.xml`) or a directory, those of all its JUnit reports.

    A report doesn't say what a test's id is: of each test case, all that it can be are returned; a hash tells
    them apart. Of a torn report, its whole cases count. Raises ConfigurationError if no id can be read.
    """
    try:
        if is_directory(path) or is_pattern(path):
            return _of_many(path)
        with open_file(path) as file:
            # Far enough for spaces and empty lines before the first element.
            if _MARKUP.match(file.peek(_CHUNK)):
                return _of_report(path, file)
            content = file.read()
    except OSError as error:
        raise ConfigurationError(f"cannot read the tests in {path}: {error.strerror}") from error
    lines = content.decode("utf-8-sig", errors="surrogateescape").splitlines()
    stripped = (_COLOUR.sub("", line).strip() for line in lines)
    return tuple(line for line in stripped if line and not _SUMMARY.fullmatch(line))


def _of_report(path: Path, file: BinaryIO) -> tuple[str, ...]:
    # Only where there is a report: whoever opens the dashboard doesn't wait for it.
    from pgwatch_tests.identity.junit_reader import CaseReader

    reader = CaseReader()
    tests = tuple(dict.fromkeys(chain.from_iterable(map(possible_ids, reader.cases(file)))))
    if reader.trouble and not tests:
        raise ConfigurationError(
            f"{path} is neither a list of tests nor a whole JUnit report: {reader.trouble}"
        )
    return tests


def _of_many(path: Path) -> tuple[str, ...]:
    """Of a shard that was killed there may be nothing to read: the others count."""
    tests: dict[str, None] = {}
    for one in files_below(path, ".xml") if is_directory(path) else fitting_files(path):
        with suppress(ConfigurationError):
            tests |= dict.fromkeys(read_test_list(one))
    if not tests:
        raise ConfigurationError(f"cannot read the tests in {path}: no JUnit report is there")
    return tuple(tests)
