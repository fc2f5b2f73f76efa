"""Rule `ignore-without-reason`: a comment that ignores a finding, and doesn't say why."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.lint import ignores
from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Source


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields what is wrong with the comments that ignore findings."""
    yield from ignores.read(source, context.rule_ids).problems


RULE = Rule(
    "ignore-without-reason",
    "A comment ignores a finding without a reason, or a rule that isn't there. It ignores nothing.",
    """\
Who reads the line later can't tell whether it is fine, or was only in somebody's way.

```python
time.sleep(2)  # pgwatch-lint: ignore[sleep]                                 # found
time.sleep(2)  # pgwatch-lint: ignore[sleep] the API allows one call in 2 s  # right
```

Only comments count: the same words in a string ignore nothing, and aren't found.
""",
    "Write pgwatch-lint: ignore[rule] and the reason, with an id that --rules lists.",
    (("pgwatch-lint",),),
    check,
    languages=frozenset(("python", "typescript", "yaml")),
)
