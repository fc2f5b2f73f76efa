"""The reader of reports: what comes in pieces, in any encoding, in any size, and by anybody."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.identity.junit_cases import JUnitCase
from pgwatch_tests.identity.junit_reader import CaseReader, Readable, read_cases
from pgwatch_tests.junit import report_files
from pgwatch_tests.junit.report_files import given_files, read_report_file
from pgwatch_tests.junit.verdicts import judged_tests

REPORTS = Path(__file__).parent / "reports"


class Pieces(io.BytesIO):
    """A file that gives that many bytes at once."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


def whole(inside: str = "", attributes: str = 'name="n"') -> bytes:
    return f"<testsuite><testcase {attributes}>{inside}</testcase></testsuite>".encode()


def read(content: bytes, size: int) -> tuple[list[JUnitCase], str]:
    reader = CaseReader()
    return list(reader.cases(Pieces(content, size))), reader.trouble


@pytest.mark.parametrize("size", [1, 7, 255])
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    for name in ("pytest-out-n2.xml", "vitest5-torn.xml", "surefire-booking.xml", "hand-bom-utf16.xml"):
        content = (REPORTS / name).read_bytes()
        assert read(content, size) == read(content, 1 << 20)


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=30), st.integers(1, 9), st.sampled_from(["utf-8", "utf-16", "utf-16-le"]))
def test_any_text_comes_back_without_what_xml_forbids(text: str, size: int, encoding: str) -> None:
    written = "".join(
        f"&#{ord(character)};" if character in "<>&\"'\t\r\n" else character for character in text
    )
    content = whole(attributes=f'name="{written}"').decode().encode(encoding, "surrogatepass")
    ((case,), trouble) = read(content, size)
    assert trouble == ""
    kept = "".join("\ufffd" if is_forbidden(character) else character for character in text)
    # A surrogate is three bytes that are no UTF-8, or one unit that is no UTF-16.
    assert case.name.replace("\ufffd", "") == kept.replace("\ufffd", "")
    assert ("\ufffd" in case.name) == ("\ufffd" in kept)


def is_forbidden(character: str) -> bool:
    return (
        (character < " " and character not in "\t\n\r")
        or character in "\ufffe\uffff"
        or ("\ud800" <= character <= "\udfff")
    )


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(["", "<failure/>", "<error/>", "<skipped/>", "<flakyFailure/>"]), max_size=8),
    st.data(),
)
def test_a_torn_report_gives_the_verdicts_of_its_whole_cases(inside: list[str], data: st.DataObject) -> None:
    cases = [f'<testcase name="n{place % 3}">{one}</testcase>' for place, one in enumerate(inside)]
    content = f"<testsuite>{''.join(cases)}</testsuite>"
    end = data.draw(st.integers(0, len(content)))
    ends = list(itertools.accumulate(map(len, cases), initial=len("<testsuite>")))[1:]
    whole_cases = sum(place <= end for place in ends)
    read_of_torn = read_cases(content[:end].encode())
    assert len(read_of_torn.cases) == whole_cases
    assert bool(read_of_torn.trouble) == (end < len(content))
    tests = judged_tests(read_of_torn.cases)
    assert len(tests) == len({place % 3 for place in range(whole_cases)})


def test_megabytes_of_output_and_of_failures_are_cut() -> None:
    output, failure = "x" * 3_000_000, "y" * 3_000_000
    (case,) = read_cases(whole(f"<system-out>{output}</system-out><failure>{failure}</failure>")).cases
    assert (set(case.output), set(case.troubles[0].text)) == ({"x"}, {"y"})
    assert max(len(case.output), len(case.troubles[0].text)) == 10_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("1,234.5", 1234.5),
        ("1,5", 1.5),
        ("1,234", None),
        ("NaN", None),
        ("-1", None),
        ("", None),
        ("x", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    (case,) = read_cases(whole(attributes=f'name="n" time="{text}"')).cases
    assert case.duration_s == seconds


def test_two_documents_in_one_file_are_both_read() -> None:
    one, other = b'<?xml version="1.0"?>\n' + whole(), b'<?xml version="1.0"?>' + whole(attributes='name="o"')
    for size in (3, 1 << 20):
        cases, trouble = read(one + b"\n" + other, size)
        assert ([case.name for case in cases], trouble) == (["n", "o"], "")


def test_a_declared_encoding_that_the_file_is_not_in(tmp_path: Path) -> None:
    # As PowerShell writes it: in UTF-8, with the declaration as it was.
    content = b'<?xml version="1.0" encoding="UTF-16"?>' + whole(attributes='name="\u00e4"').decode().encode()
    assert [case.name for case in read_cases(content).cases] == ["\u00e4"]


def test_a_file_that_grows_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "junit.xml"
    path.write_bytes(whole()[:20])
    pauses: list[float] = []

    class WhileItIsWritten(CaseReader):
        """Its file gets its end after it was read; after a pause nobody writes any more."""

        def cases(self, source: Readable) -> Iterator[JUnitCase]:
            yield from super().cases(source)
            if len(pauses) < stops_after:
                path.write_bytes(whole() + b" " * len(pauses))

    monkeypatch.setattr(report_files, "CaseReader", WhileItIsWritten)
    stops_after = 1
    report = read_report_file(path, sleep=pauses.append)
    assert (report.trouble_kind, len(report.cases), len(pauses)) == ("", 1, 1)
    stops_after = 9
    assert read_report_file(path, sleep=pauses.append).trouble_kind == "growing"


def test_names_patterns_and_directories(tmp_path: Path) -> None:
    for name in (
        "a/junit.xml",
        "b/junit.xml",
        "b/node_modules/junit.xml",
        "b/deep/er/TEST-x.xml",
        "b/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "ring").symlink_to(tmp_path, target_is_directory=True)
    found, nothing = given_files(
        [tmp_path / "*/junit.xml", tmp_path / "b", tmp_path / "c", tmp_path / "a/junit.xml"]
    )
    assert [str(one.path.relative_to(tmp_path)) for one in found] == [
        "a/junit.xml",
        "b/junit.xml",
        "b/deep/er/TEST-x.xml",
    ]
    assert nothing == [str(tmp_path / "c")]
