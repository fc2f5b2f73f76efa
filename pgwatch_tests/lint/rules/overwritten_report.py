"""Rule `overwritten-report`: a command in a CI file that writes its result over a shard's report."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Source

_MERGER = re.compile(
    r"(?:^|[\s;&|'\"])(?:junit-report-merger|jrm)(?:@[\w.]+)?\s+(?P<first>(?:-\S+\s+)*[^\s;&|>]+)"
)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each junit-report-merger whose first argument, which it writes to, is a pattern."""
    for number, line in enumerate(source.lines, 1):
        if line.lstrip().startswith("#"):
            continue
        match = _MERGER.search(line)
        if match is not None and re.search(r"[*?{]", match["first"].replace("${{", "").replace("${", "")):
            yield Problem(
                number,
                match.start("first") + 1,
                f"junit-report-merger writes to its first argument: {match['first']} is a shard's report, "
                "which is lost; what is redirected holds remarks only.",
            )


RULE = Rule(
    "overwritten-report",
    "A CI command merges JUnit reports into the first of them, which is lost.",
    """\
`junit-report-merger` takes the file to write first. With a pattern there, the shell puts the first shard's
report in that place: it is overwritten, and its tests are in no summary.

```yaml
- run: npx junit-report-merger all-results/**/junit.xml > merged.xml         # found
- run: npx junit-report-merger merged.xml "all-results/**/junit.xml"         # right
- run: pgwatch-tests junit 'all-results/**/junit.xml' -o merged.xml          # right, and knows killed shards
```

Looked for in YAML files: workflows of GitHub, GitLab's and other CI files.
""",
    "Name the merged file first, or use `pgwatch-tests junit`, which writes over none of its inputs.",
    (("junit-report-merger", "jrm"),),
    check,
    languages=frozenset(("yaml",)),
    is_proven=False,
)
