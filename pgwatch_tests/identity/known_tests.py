"""Known tests by the hash that application names and values carry, and the files that list tests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from xml.parsers import expat

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import TestIdentity, digest, parse, printable

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
    report.

    A report doesn't say what a test's id is: of each test case, all that it can be are returned; a hash tells
    them apart. Raises ConfigurationError if the file can't be read, or is damaged XML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the tests in {path}: {error.strerror}") from error
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return tuple(dict.fromkeys(chain.from_iterable(map(_ids, _test_cases(content, path)))))
    lines = content.decode("utf-8-sig", errors="surrogateescape").splitlines()
    stripped = (_COLOUR.sub("", line).strip() for line in lines)
    return tuple(line for line in stripped if line and not _SUMMARY.fullmatch(line))


def _test_cases(content: bytes, path: Path) -> list[Mapping[str, str]]:
    """The attributes of each test case, and the name of its suite's host as `hostname`."""
    cases: list[Mapping[str, str]] = []
    hosts: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "testsuite":
            hosts.append(attributes.get("hostname", ""))
        elif name == "testcase":
            cases.append({**attributes, "hostname": hosts[-1] if hosts else ""})

    def end(name: str) -> None:
        if name == "testsuite":
            hosts.pop()

    def refuse(*_: object) -> None:
        # Entities are declared there, which expand without end or read other files; no runner writes one.
        raise ConfigurationError(f"{path} has a DOCTYPE: a JUnit report has none")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ConfigurationError(f"{path} is neither a list of tests nor a JUnit report: {error}") from None
    return cases


def _ids(case: Mapping[str, str]) -> Iterator[str]:
    """All that the id of a test case can be, by pytest's and by Vitest's, Jest's and Playwright's rules."""
    name, classes, file = case.get("name", ""), case.get("classname", ""), case.get("file", "")
    # pytest: `tests.test_a.TestA` is a file and perhaps classes in it (_pytest/junitxml.py).
    parts = classes.split(".")
    for end in range(1, len(parts) + 1):
        yield "::".join(("/".join(parts[:end]) + ".py", *parts[end:], name))
        if file:
            yield "::".join((file, *parts[end:], name))
    title = name.replace(" \u203a ", " > ")
    for place in dict.fromkeys(filter(None, (classes, file))):
        yield f"{place} > {title}"
        if case["hostname"]:
            # Playwright's reporter calls the project the host.
            yield f"[{case['hostname']}] {place} > {title}"
