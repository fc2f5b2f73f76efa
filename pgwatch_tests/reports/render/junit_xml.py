"""JUnit documents, which every CI shows beside the tests."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


def document(suites: Iterable[Element]) -> str:
    """`testsuite` elements as one document.

    Their text must have been through `plain`, which leaves no character that XML forbids: controls,
    surrogates and U+FFFE are shown as codes.
    """
    root = Element("testsuites")
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def seconds(value_s: float) -> str:
    """A duration as JUnit has it."""
    return f"{value_s:.3f}"
