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
from pgwatch_tests.junit.report_files import given_files, read_report_file, read_report_files
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


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
@pytest.mark.parametrize("before", [0, 9_980, 10_000, 300_000])
def test_lines_that_attach_files_stay_however_much_was_printed(size: int, before: int) -> None:
    files = [f"[[ATTACHMENT|test-results/{place}.png]]" for place in range(3)]
    lines = "\n".join(files)
    printed = f"<system-out>{'x' * before}\n{lines}\n[[ATTACHMENT|cut</system-out>"
    attempt = f"<rerunFailure>why<system-out>{files[0]}</system-out></rerunFailure>"
    ((case,), _) = read(whole(f"<failure>no</failure>{attempt}{printed}"), size)
    assert [line for line in case.output.splitlines() if line in files] == files
    assert len(case.output) < 10_200
    assert case.troubles[1].text == "why"
    # Of a test that passed, nothing is kept, and nothing goes to the next one.
    passed, failed = read_cases(
        f"<testsuite><testcase name='a'>{printed}</testcase>"
        "<testcase name='b'><failure/></testcase></testsuite>".encode()
    ).cases
    assert (passed.output, failed.output) == ("", "")


def test_attachments_are_not_without_end() -> None:
    printed = "".join(f"[[ATTACHMENT|{place}]]\n" for place in range(100_000)) + "[[ATTACHMENT|" + "y" * 9_999
    (case,) = read_cases(whole(f"<failure/><system-out>{'x' * 10_000}{printed}</system-out>")).cases
    assert case.output.count("ATTACHMENT") == 20
    assert len(case.output) < 11_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("1,234.5", 1234.5),
        ("1,5", 1.5),
        ("1,234", None),
        ("NaN", None),
        ("-1", None),
        ("1e308", None),
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


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined", "base64", "utf-7", "cp037", "rot13"])
def test_a_declared_encoding_that_no_xml_is_in(encoding: str) -> None:
    content = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + whole(attributes='name="\u00e4"')
    assert len(read_cases(content).cases) == 1
    read_cases(content + bytes(range(256)) + b"." * 1_000)  # raises nothing


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


def test_a_torn_file_that_goes_on_is_still_being_written(tmp_path: Path) -> None:
    growing, killed, done = (tmp_path / name for name in ("growing.xml", "killed.xml", "done.xml"))
    for path in (growing, killed, done):
        path.write_bytes(whole()[:-12])
    killed.with_name("empty.xml").touch()
    pauses: list[float] = []

    def go_on(pause_s: float) -> None:
        pauses.append(pause_s)
        growing.write_bytes(whole()[:-8])
        done.write_bytes(whole())

    paths = [growing, killed, done, tmp_path / "empty.xml", tmp_path / "none.xml"]
    reports = read_report_files([(path, False) for path in paths], sleep=go_on)
    assert [(one.trouble_kind, len(one.cases)) for one in reports] == [
        ("growing", 1),
        ("torn", 1),
        ("", 1),
        ("empty", 0),
        ("unreadable", 0),
    ]
    assert "still being written" in reports[0].trouble
    assert len(pauses) == 1  # for all of them
    assert read_report_files([(done, False)], sleep=pauses.append)[0].trouble == ""
    assert len(pauses) == 1


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
    assert nothing == [f"there is no file {tmp_path / 'c'}"]
