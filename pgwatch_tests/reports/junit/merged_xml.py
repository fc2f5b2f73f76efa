"""All shards as one JUnit document: each test once, its earlier attempts as `flaky…` and `rerun…` elements.

Names of suites and classes begin with their shard: GitLab counts only the first of several cases that have
the same class and name. Output of tests that passed is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from xml.sax.saxutils import escape, quoteattr

from pgwatch_tests.identity.junit_cases import MERGED, JUnitCase, Trouble
from pgwatch_tests.junit.database_facts import OWN_PROPERTY
from pgwatch_tests.junit.summary import JUnitFinding, JUnitSummary, ShardReport
from pgwatch_tests.junit.verdicts import TEARDOWN, JUnitTest
from pgwatch_tests.text.plain_text import plain, plain_lines
from pgwatch_tests.text.secrets import mask_text

_OWN = "pgwatch-tests.junit"
_REPEATED = {"failure": "Failure", "error": "Error"}


def document(summary: JUnitSummary) -> str:
    """Returns the document: a suite per suite of a shard, and one of the findings that a gate fails on."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: JUnitSummary) -> Iterator[str]:
    totals = summary.totals
    errors = [one for one in summary.findings if one.level == "error"]
    numbers = {
        "tests": totals.tests + len(errors),
        "failures": totals.failed,
        "errors": totals.errored + len(errors),
        "skipped": totals.skipped,
    }
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    counts = {key: str(number) for key, number in numbers.items()}
    yield f"<testsuites{_attributes(name=MERGED, **counts)}>"
    yield from chain.from_iterable(map(_shard, summary.shards))
    if errors:
        yield from _findings(errors)
    yield "</testsuites>"


def _shard(shard: ShardReport) -> Iterator[str]:
    suites: defaultdict[tuple[str, str], list[JUnitTest]] = defaultdict(list)
    for test in shard.tests:
        suites[test.case.suite.name, test.project].append(test)
    for (name, project), tests in suites.items():
        whole = f"{shard.name}: {name}" if shard.name and name else shard.name or name
        yield f" <testsuite{_suite_attributes(whole, project, tests)}>"
        yield from chain.from_iterable(map(_case, tests))
        yield " </testsuite>"


def _suite_attributes(name: str, project: str, tests: list[JUnitTest]) -> str:
    verdicts = [test.verdict for test in tests]
    return _attributes(
        name=name,
        **({"hostname": project} if project else {}),
        tests=str(len(tests)),
        failures=str(verdicts.count("failed")),
        errors=str(verdicts.count("errored")),
        skipped=str(verdicts.count("skipped")),
        time=f"{sum(test.case.duration_s or 0.0 for test in tests):.6g}",
        **({"timestamp": tests[0].case.suite.timestamp} if tests[0].case.suite.timestamp else {}),
    )


def _case(test: JUnitTest) -> Iterator[str]:
    case = test.case
    begin = f"  <testcase{_case_attributes(test)}"
    inside = [*_properties(test), *_troubles(test), *_output(case)]
    if inside:
        yield f"{begin}>"
        yield from inside
        yield "  </testcase>"
    else:
        yield f"{begin}/>"


def _case_attributes(test: JUnitTest) -> str:
    case = test.case
    # A case of one class and name in two shards is one to GitLab.
    classname = f"{test.shard}: {case.classname}" if test.shard else case.classname
    time = {} if case.duration_s is None else {"time": f"{case.duration_s:.6g}"}
    file = {"file": case.file} if case.file else {}
    return _attributes(classname=classname, name=case.name, **file, **time)


def _properties(test: JUnitTest) -> Iterator[str]:
    own = [(OWN_PROPERTY, line) for line in test.database]
    if test.case.properties or own:
        yield "   <properties>"
        for name, value in (*test.case.properties, *own):
            yield f"    <property{_attributes(name=name, value=mask_text(value))}/>"
        yield "   </properties>"


def _troubles(test: JUnitTest) -> Iterator[str]:
    """The last attempt's elements, then those of attempts before it."""
    own = list(test.case.troubles)
    if test.stands_for != "test" or test.verdict == "errored":
        own = [one._replace(kind="error") if one.kind == "failure" else one for one in own]
    yield from map(_trouble, own)
    for case in test.earlier:
        for one in case.troubles:
            if one.message.startswith(TEARDOWN):
                yield _trouble(one)  # no attempt of its own
            elif one.kind in _REPEATED:
                kind = f"{'flaky' if test.verdict == 'flaky' else 'rerun'}{_REPEATED[one.kind]}"
                yield _trouble(one._replace(kind=kind))  # type: ignore[arg-type]  # one of the kinds
            elif one.kind != "skipped":
                yield _trouble(one)


def _trouble(one: Trouble) -> str:
    attributes = {"message": mask_text(one.message)} | ({"type": one.type} if one.type else {})
    text = "\n".join(plain_lines(mask_text(one.text))) if one.text else ""
    if not text:
        return f"   <{one.kind}{_attributes(**attributes)}/>"
    if one.kind.startswith(("flaky", "rerun")):
        return (
            f"   <{one.kind}{_attributes(**attributes)}><stackTrace>{escape(text)}</stackTrace></{one.kind}>"
        )
    return f"   <{one.kind}{_attributes(**attributes)}>{escape(text)}</{one.kind}>"


def _output(case: JUnitCase) -> Iterator[str]:
    if case.output:
        yield f"   <system-out>{escape(chr(10).join(plain_lines(mask_text(case.output))))}</system-out>"


def _findings(errors: list[JUnitFinding]) -> Iterator[str]:
    """Findings as cases: a reader of the document alone sees that a shard is missing."""
    number = str(len(errors))
    yield f" <testsuite{_attributes(name=_OWN, tests=number, failures='0', errors=number, skipped='0')}>"
    for place, one in enumerate(errors, 1):
        name = f"{one.kind.replace('_', ' ')} {place}: {one.shard or 'all shards'}"
        yield f"  <testcase{_attributes(classname=_OWN, name=name)}>"
        yield f"   <error{_attributes(message=one.text, type=one.kind)}/>"
        yield "  </testcase>"
    yield " </testsuite>"


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(plain(value))}" for name, value in values.items())
