"""A pull reader of JUnit reports, whoever wrote them. Pure.

A report comes from elsewhere. Nothing in it is expanded or opened; a DOCTYPE is refused. What is torn, or has
characters that XML forbids, is read as far as it goes, and that is said. Numbers come from the cases, never
from the attributes that sum them up.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from xml.parsers import expat

from pgwatch_tests.identity.junit_cases import (
    MERGED,
    OUTCOMES,
    REPEATED,
    Anomaly,
    JUnitCase,
    Runner,
    Suite,
    Trouble,
    TroubleKind,
)
from pgwatch_tests.identity.junit_output import Output
from pgwatch_tests.identity.junit_text import CleanText

_RUNNERS: Mapping[str, Runner] = {"vitest tests": "vitest", "pytest tests": "pytest", MERGED: "merged"}
_new = tuple.__new__  # of a NamedTuple: half the time of calling it, a hundred thousand times
_COUNTED = ("tests", "failures", "errors", "skipped")
_COUNTED_KINDS = ("failure", "error", "skipped")
_SUITES = frozenset({"testsuite", "testsuites"})
_PRINTED = frozenset({"system-out", "system-err"})
_CHUNK = 1 << 18
_BUFFER = 1 << 16
_LONGEST_TEXT = 10_000  # characters of a failure, and of a test's output
_OWN_TROUBLES = frozenset({"failure", "error"})
_MOST_TEXT = 8_000_000
"""Characters of failures that a file's cases have together; beyond, their messages are kept."""
_MOST_PROPERTIES = 20
_LONGEST_VALUE = 1_000
_LONGEST_S = 1e9
"""Thirty years: sums of what is longer have no end."""
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+")
_DECIMAL_COMMA = re.compile(r"[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})")


class Readable(Protocol):
    """What gives the bytes of a report, at most so many at once; none at its end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""


@dataclass(frozen=True, slots=True)
class JUnitCases:
    """The cases of a report, as far as they can be read."""

    cases: tuple[JUnitCase, ...]
    trouble: str = ""
    """Why there may be more, or none is read: `it ends early`; empty if nothing is wrong."""


def read_cases(content: bytes) -> JUnitCases:
    """Returns the cases of a report; of none, why it isn't one."""
    reader = CaseReader()
    cases = tuple(reader.cases(io.BytesIO(content)))
    return JUnitCases(cases, reader.trouble)


@dataclass(slots=True)
class _Frame:
    """An element that holds cases, whose end isn't read yet: what it says, and what is in it."""

    attributes: Mapping[str, str]
    suite: Suite
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """As in `_COUNTED`."""


class _RefusedError(Exception):
    """The text is no report, or not a safe one."""


class CaseReader:
    """A pull reader of one report: gives the cases while it reads; its memory doesn't grow with the file.

    `trouble`, `anomalies` and the rest are known once all cases were taken.
    """

    def __init__(self) -> None:
        self.trouble = ""
        """Why there may be more cases, or none is read; empty if nothing is wrong."""
        self.trouble_kind: Literal["", "empty", "refused", "torn"] = ""
        self.runner: Runner = ""
        self.declared: int | None = None
        """How many tests the report announces at its beginning."""
        self.suites = 0
        self.empty_suites: list[str] = []
        """Names of the first suites without any case."""
        self.first_began = self.last_began = ""
        """The first and the last timestamp of its suites, as they are written."""
        self.anomalies: list[Anomaly] = []
        self._text = CleanText()
        self._parser = expat.ParserCreate()
        self._fed = 0
        """Bytes that the present parser got."""
        self._roots = 0
        self._ready: list[JUnitCase] = []
        self._frames: list[_Frame] = []
        self._case: Mapping[str, str] | None = None
        """The attributes of the `testcase` whose end isn't read yet, and what is in it so far:"""
        self._troubles: list[Trouble] = []
        self._properties: list[tuple[str, str]] = []
        self._output = Output(_LONGEST_TEXT)
        self._take_output = self._output.take
        self._trouble: tuple[TroubleKind, Mapping[str, str]] | None = None
        self._texts: list[str] = []
        self._room = 0
        self._left = _MOST_TEXT
        self._names: dict[str, str] = {}
        self._bad_number = False
        self._is_suite = False
        """Whether `_case` isn't in the file: it stands for its suite."""

    def cases(self, source: Readable) -> Iterator[JUnitCase]:
        """Yields the cases in their order. Raises OSError if the source can't be read."""
        self._begin_document()
        is_empty = True
        while True:
            content = source.read(_CHUNK)
            clean = self._text.feed(content, is_last=not content)
            if is_empty:
                clean = clean.lstrip()
                is_empty = not clean
            try:
                self._parse(clean, is_last=not content and not is_empty)
            except _RefusedError as error:
                self.trouble, self.trouble_kind = str(error), "refused"
            except expat.ExpatError as error:
                where = f"at line {error.lineno}: {expat.ErrorString(error.code)}"
                self.trouble, self.trouble_kind = f"it is damaged {where}", "torn"
            yield from self._ready
            self._ready.clear()
            if not content or self.trouble:
                break
        if is_empty:
            self.trouble, self.trouble_kind = "it is empty", "empty"
        self._tell_of_text()
        # The handlers are bound to the reader: a ring that only the collector would take apart.
        self._parser = expat.ParserCreate()

    def _begin_document(self) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text, parser.buffer_size = True, _BUFFER
        parser.StartElementHandler, parser.EndElementHandler = self._start_root, self._end
        parser.StartDoctypeDeclHandler = self._refuse
        self._parser, self._fed = parser, 0

    def _parse(self, content: bytes, *, is_last: bool) -> None:
        begin = self._fed
        self._fed += len(content)
        try:
            self._parser.Parse(content, is_last)
        except expat.ExpatError:
            place = self._parser.ErrorByteIndex - begin
            rest = content[place:].lstrip() if 0 <= place <= len(content) else b""
            # Another report was appended: all of it was read, and the next one begins.
            is_next = rest.startswith((b"<?xml", b"<testsuite"))
            if self._frames or not self._roots or not is_next:
                raise
            self.anomalies.append(Anomaly("second-document", "another document follows the first"))
            self._begin_document()
            self._parse(rest, is_last=is_last)

    def _tell_of_text(self) -> None:
        if self._text.replaced:
            codes = ", ".join(f"U+{code:04X}" for code in sorted(self._text.replaced)[:10])
            self.anomalies.append(Anomaly("forbidden-characters", f"replaced characters: {codes}"))
        if self._text.encoding not in ("utf-8", "ascii", "us-ascii", ""):
            self.anomalies.append(Anomaly("encoding", f"it is in {self._text.encoding}"))
        if self._bad_number:
            self.anomalies.append(Anomaly("bad-number", "a time in it is no number"))

    # Handlers run for each element: what most of them need comes first. Text is only asked for where it is
    # kept; its handler must not be set from within itself, since that hands over what is buffered once more.

    def _start_root(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name not in _SUITES:
            raise _RefusedError(f"it is no JUnit report: its root is <{name[:40]}>")
        self._roots += 1
        self.runner = _runner(name, attributes)
        number = attributes.get("tests", "")
        if number.isdecimal() and len(number) < 10:
            self.declared = (self.declared or 0) + int(number)
        self._parser.StartElementHandler = self._start
        self._start_suite(name, attributes)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "testcase":
            self._case = attributes
        elif self._case is not None:
            if name in _PRINTED:
                # That of an attempt is inside of it, and no part of its text: only files are attached.
                self._parser.CharacterDataHandler = (
                    self._take_output if self._trouble is None else self._output.take_attachments
                )
            else:
                self._start_in_case(name, attributes)
        elif name in _SUITES:
            self._start_suite(name, attributes)
        elif name in _OWN_TROUBLES:
            # Of a suite whose set-up failed, or whose process died: a case that stands for it.
            self._case, self._is_suite = {}, True
            self._start_in_case(name, attributes)
        elif ":" in name:
            self._start(_local(name), attributes)

    def _start_suite(self, name: str, attributes: Mapping[str, str]) -> None:
        suite = Suite(
            self._shared(attributes.get("name", "")),
            self._shared(attributes.get("hostname", "")),
            attributes.get("timestamp", ""),
            self.runner,
        )
        if suite.name == "pytest" and name == "testsuite":
            self.runner = "pytest"
            suite = suite._replace(runner="pytest")
        self._frames.append(_Frame(attributes, suite))
        if name == "testsuite":
            self.suites += 1
            if suite.timestamp:
                self.first_began = min(self.first_began or suite.timestamp, suite.timestamp)
                self.last_began = max(self.last_began, suite.timestamp)

    def _start_in_case(self, name: str, attributes: dict[str, str]) -> None:
        if name in OUTCOMES or name in REPEATED:
            self._trouble = (name, attributes)  # type: ignore[assignment]  # one of the kinds
            self._room = min(_LONGEST_TEXT, self._left)
            self._parser.CharacterDataHandler = self._take
        elif name == "stackTrace":
            self._parser.CharacterDataHandler = self._take
        elif name == "property" and len(self._properties) < _MOST_PROPERTIES:
            value = attributes.get("value", "")[:_LONGEST_VALUE]
            self._properties.append((self._shared(attributes.get("name", "")), value))
        elif ":" in name:
            self._start(_local(name), attributes)

    def _take(self, data: str) -> None:
        if self._room > 0 and self._trouble is not None:
            self._texts.append(data[: self._room])
            self._room -= len(data)

    def _end(self, name: str) -> None:
        if name == "testcase":
            if self._case is not None:
                self._close_case(self._case)
                self._case = None
        elif self._case is not None:
            if self._trouble is not None:
                self._end_in_trouble(name, self._trouble)
            elif name in _PRINTED:
                self._parser.CharacterDataHandler = None
            elif ":" in name:
                self._end(_local(name))
        elif name in _SUITES and self._frames:
            self._end_suite(name, self._frames.pop())
        elif ":" in name:
            self._end(_local(name))

    def _end_in_trouble(self, name: str, trouble: tuple[TroubleKind, Mapping[str, str]]) -> None:
        kind, attributes = trouble
        if name == kind:
            text = "".join(self._texts).strip()
            self._texts.clear()
            self._left -= len(text)
            message = attributes.get("message", "")[:_LONGEST_TEXT]
            self._troubles.append(Trouble(kind, message, text, self._shared(attributes.get("type", ""))))
            self._trouble = None
            self._parser.CharacterDataHandler = None
            if self._is_suite:
                self._close_suite_case()
        elif name in _PRINTED:
            self._parser.CharacterDataHandler = None
        elif ":" in name:
            self._end_in_trouble(_local(name), trouble)

    def _close_suite_case(self) -> None:
        suite = self._frames[-1].suite._replace(is_case=True)
        case = JUnitCase(suite.name or "testsuite", "", suite=suite)
        self._ready.append(case._replace(troubles=tuple(self._troubles)))
        self._frames[-1].counts[_COUNTED_KINDS.index(self._troubles[-1].kind) + 1] += 1
        self._troubles.clear()
        self._output.clear()
        self._case, self._is_suite = None, False

    def _close_case(self, attributes: Mapping[str, str]) -> None:
        get, shared = attributes.get, self._names.setdefault
        frame = self._frames[-1]
        frame.counts[0] += 1
        classname, file, time = get("classname", ""), get("file", ""), get("time")
        if file:
            file = shared(file, file)
        duration_s = None
        if time is not None:
            try:
                duration_s = float(time)
            except ValueError:
                duration_s = -1.0
            if not 0 <= duration_s < _LONGEST_S:
                duration_s = self._odd_duration_s(time)
        name, classname = get("name", ""), shared(classname, classname)
        case: JUnitCase = _new(JUnitCase, (name, classname, file, frame.suite, duration_s, (), (), ""))
        if self._properties or self._troubles or self._trouble is not None:
            case = self._with_details(case, frame)
        elif self._output.pieces:
            self._output.clear()
        self._ready.append(case)

    def _with_details(self, case: JUnitCase, frame: _Frame) -> JUnitCase:
        output = ""
        if self._troubles:
            output = self._output.text(min(_LONGEST_TEXT, max(0, self._left)))
            self._left -= len(output)
            kinds = {one.kind for one in self._troubles}
            for place, kind in enumerate(_COUNTED_KINDS, 1):
                frame.counts[place] += kind in kinds
        case = case._replace(
            troubles=tuple(self._troubles), properties=tuple(self._properties), output=output
        )
        self._troubles.clear()
        self._properties.clear()
        self._output.clear()
        if self._trouble is not None:  # a case within a failure: this one is over, too
            self._trouble, self._is_suite = None, False
            self._texts.clear()
        return case

    def _end_suite(self, name: str, frame: _Frame) -> None:
        if name == "testsuite" and not frame.counts[0] and len(self.empty_suites) < _MOST_PROPERTIES:
            self.empty_suites.append(frame.suite.name)
        if self._frames:
            above = self._frames[-1].counts
            for place, number in enumerate(frame.counts):
                above[place] += number
        for attribute, number in zip(_COUNTED, frame.counts, strict=True):
            says = frame.attributes.get(attribute)
            if says is not None and says.strip() != str(number) and len(self.anomalies) < _MOST_PROPERTIES:
                where = f"suite {frame.suite.name}" if name == "testsuite" else "the root"
                text = f"{attribute} of {where} says {says[:20]!r}, its cases say {number:,}"
                self.anomalies.append(Anomaly("wrong-count", text))
        if "time" in frame.attributes and _plain_seconds(frame.attributes["time"]) is None:
            self._bad_number = True

    def _odd_duration_s(self, text: str) -> float | None:
        self._bad_number = self._bad_number or bool(text)
        return _seconds(text)

    def _shared(self, text: str) -> str:
        """The same text, one object for all cases that have it."""
        return self._names.setdefault(text, text)

    def _refuse(self, name: str, *_: object) -> None:
        """A DOCTYPE: entities are declared there, which expand without end or read other files."""
        if name.lower() == "html":
            raise _RefusedError("it is no JUnit report: it is an HTML page")
        raise _RefusedError("it has a DOCTYPE, which no JUnit report has")


def _local(name: str) -> str:
    """The name of an element without the prefix of its namespace."""
    return name.rpartition(":")[2]


def _runner(root: str, attributes: Mapping[str, str]) -> Runner:
    if root == "testsuites" and "id" in attributes:
        return "playwright"
    return _RUNNERS.get(attributes.get("name", ""), "")


def _plain_seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < _LONGEST_S else None


def _seconds(text: str) -> float | None:
    """A number of seconds: Maven writes `1,234.5`, others a decimal comma. None if it is none."""
    if _THOUSANDS.fullmatch(text):
        return _plain_seconds(text.replace(",", ""))
    return _plain_seconds(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text) else None
