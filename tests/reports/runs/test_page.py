"""The page as a document: it has all that it needs in it, and nothing in it but text and our own markup."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pgwatch_tests.record.merging.merged import RecordedRun, merge
from pgwatch_tests.reports.render import html_text
from pgwatch_tests.reports.render.html_text import Lines, Static, element, link
from pgwatch_tests.reports.runs.page import document
from pgwatch_tests.text.plain_text import plain
from tests.record.made_events import facts, run
from tests.reports.runs.made_report import HOSTILE, hostile_report, killed_run, report

_KNOWN = re.compile(
    r"(aria|data)-[a-z]+|class|id|href|role|tabindex|x|y|x1|x2|y1|y2|width|height|points|d|viewbox"
)
_VOID = ("br", "hr", "input", "meta", "wbr")


class Page(HTMLParser):
    """What a browser would make of a page: elements, their attributes, and their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.inline: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            assert self._open[-1] not in self.inline, "one of each"
            self.inline[self._open[-1]] = data
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script() -> None:
    page = Page(document.document(report()))

    [policy] = [
        of["content"] for name, of in page.elements if of.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    for name, element_name in (("style-src", "style"), ("script-src", "script")):
        digest = base64.b64encode(hashlib.sha256(page.inline[element_name].encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == {"base-uri": "'none'", "form-action": "'none'"}
    addresses = {of["href"] for _, of in page.elements if "href" in of}
    assert {one for one in addresses if not one.startswith("#")} == {"https://ci.example.com/job/1"}
    assert not {name for _, of in page.elements for name in of} & {
        "src",
        "style",
        "srcset",
        "action",
        "xlink:href",
    }
    assert "url(" not in page.inline["style"]
    assert not re.search(r"@import|https?:|fetch|XMLHttpRequest|innerHTML|eval", str(page.inline))
    # What links lead to is there.
    ids = [of["id"] for _, of in page.elements if "id" in of]
    assert len(ids) == len(set(ids))
    assert {one[1:] for one in addresses if one.startswith("#") and len(one) > 1} <= set(ids)


def test_hostile_text_is_text() -> None:
    quiet, hostile = Page(document.document(report())), Page(document.document(hostile_report()))

    assert {name for name, _ in hostile.elements} <= {name for name, _ in quiet.elements} | {"span", "h2"}
    for name, of in hostile.elements:
        if name not in ("html", "meta", "input", "select", "option", "button", "th"):
            unknown = {attribute for attribute in of if not _KNOWN.fullmatch(attribute)}
            assert unknown <= {"preserveaspectratio", "text-anchor", "hidden"}, (name, of)
    said = "".join(hostile.texts)
    for text in HOSTILE:
        assert plain(text) in said or all(plain(line) in said for line in text.split("\n"))
    assert all(character >= " " or character == "\n" for character in said)
    document.document(hostile_report()).encode("utf-8")


def test_elements_are_built_of_text_alone() -> None:
    built = element("p", '<b a="1">&', Lines("x\n<y>"), None, class_='"><', hidden=True, data_sort=1.5)
    assert html_text.written(built) == (
        '<p class="&quot;&gt;&lt;" hidden data-sort="1.5">&lt;b a="1"&gt;&amp;x\n&lt;y&gt;</p>\n'
    )
    for name, attributes in (
        ("script", {}),
        ("iframe", {}),
        ("b onclick=x", {}),
        ("p", {"onclick": "x"}),
        ("p", {"style": "x"}),
        ("p", {"src": "x"}),
        ("a", {"href": "javascript:x"}),
        ("a", {"href": "https://example.com"}),
    ):
        with pytest.raises(ValueError, match=r"of a report|outside of the page"):
            element(name, **attributes)
    for text in ("a</style>", "a<!--"):
        with pytest.raises(ValueError, match=r"can stand in a page"):
            Static("style", text)
    for address in (
        "javascript:alert(1)",
        "https://a b",
        "https://\u202ex",
        "data:text/html,x",
        ' https://x"',
    ):
        assert link("there", address) == "there"


def test_a_page_says_how_much_it_leaves_out() -> None:
    page = document.document(report(300), most=20)
    assert "the first 20 of 300 waits" in page
    assert len(re.findall(r'id="s1-w\d', page)) == 20
    # Each bar of the time line leads to a row.
    assert len(re.findall(r'href="#s1-w\d', page)) == 20


def test_figures_that_nobody_knows_are_no_noughts() -> None:
    bare = document.document(merge([RecordedRun("a", facts())]))
    assert re.findall(r"<b>([^<]*)</b>", bare) == ["?", "?", "?", "?", "?"]
    quiet = replace(run("b"), leaks_checked=True)
    assert re.findall(r"<b>([^<]*)</b>", document.document(merge([quiet]))) == [
        "0.0 s",
        "0.0 s",
        "0",
        "0",
        "0",
    ]
    half = document.document(merge([killed_run(3), RecordedRun("a", facts("2", pid=2))]))
    assert re.findall(r"<b>([^<]*)</b>", half)[2:] == ["2+", "22+", "1+"]


def test_an_hour_of_waits_stays_a_few_hundred_kibibytes() -> None:
    assert len(document.document(report(1500)).encode()) < 500 * 1024
