"""What a CI shows beside the tests: annotations of a GitHub workflow, and JUnit documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pgwatch_tests.text.plain_text import plain

_NO_COMMAND = "› "


def annotation(
    level: Literal["error", "warning", "notice"],
    title: str,
    message: str,
    file: str | None = None,
    line: int | None = None,
) -> str:
    """`::error title=…::…` of plain text, on one line; of a line of a file in the repository, if given.

    The escapes are those of actions/toolkit, packages/core/src/command.ts.
    """
    where = "" if file is None else f"file={_property(file)},"
    where += "" if line is None else f"line={line},"
    return f"::{level} {where}title={_property(title)}::{_escaped(message)}"


def log_line(text: str) -> str:
    """Plain text as a line of a workflow's log that is no command.

    A runner takes `::` at the line's beginning and `##[` anywhere in it for one (actions/runner,
    src/Runner.Common/ActionCommand.cs).
    """
    harmless = text.replace("##[", "## [")
    return f"{_NO_COMMAND}{harmless}" if harmless.lstrip().startswith("::") else harmless


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(frozen=True, slots=True)
class Case:
    """A test case of a JUnit document; its texts are made plain when it is written."""

    name: str
    outcome: Literal["passed", "failure", "skipped"]
    message: str = ""
    """Why it failed or was skipped."""
    lines: Sequence[str] = ()
    type: str = ""
    """The kind of the failure."""
    classname: str = ""
    """Empty: that of its suite."""
    time_s: float = 0.0


def suite(classname: str, cases: Sequence[Case], **attributes: str) -> Element:
    """The cases as a `testsuite`, with these attributes before the numbers of cases."""
    element = Element("testsuite", {name: plain(value) for name, value in attributes.items()})
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.outcome == "failure" for case in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(case.outcome == "skipped" for case in cases)))
    for case in cases:
        test = SubElement(
            element,
            "testcase",
            classname=plain(case.classname or classname),
            name=plain(case.name),
            time=seconds(case.time_s),
        )
        text = "\n".join(map(plain, case.lines))
        if case.outcome == "failure":
            SubElement(test, "failure", type=case.type, message=plain(case.message)).text = text
            continue
        if case.outcome == "skipped":
            SubElement(test, "skipped", message=plain(case.message))
        if text:
            SubElement(test, "system-out").text = text
    return element


def junit(suites: Iterable[Element]) -> str:
    """`testsuite` elements as one document.

    `plain` leaves no character that XML forbids: controls, surrogates and U+FFFE are shown as codes.
    """
    root = Element("testsuites")
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def seconds(value_s: float) -> str:
    """A duration as JUnit has it."""
    return f"{value_s:.3f}"
