"""Rule `sleep`: a test that pauses for a fixed time instead of waiting for what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Call, Scope, Source
from pgwatch_tests.lint.syntax.values import Number, Value

_PYTHON = frozenset(
    [
        "time.sleep",
        "sleep",
        "asyncio.sleep",
        "anyio.sleep",
        "trio.sleep",
        "gevent.sleep",
        "eventlet.sleep",
        "page.wait_for_timeout",
    ]
)
_TYPESCRIPT = frozenset(
    ["sleep", "delay", "wait", "pause", "waitFor", "timeout", "setTimeout", "waitForTimeout", "cy.wait"]
)
_SLEEPING_NAME = re.compile(
    r"sleep|delay|wait|poll|retry|until|eventually|pause|timeout|debounce|throttle|backoff|tick|nap", re.I
)
_TRANSPARENT = re.compile(
    r"(?:^|\.)(?:step|act|all|allSettled|race|map|forEach|then|finally|waitUntil|use|toPass|not)$"
)
_ONLY_A_TIMER = re.compile(
    r"(?:async\s*)?\(?\w+[^)=]*\)?\s*=>\s*(?:\{\s*)?(?:(?:return|void)\s+)?setTimeout\b|function\s*\(\w+\)\s*\{\s*setTimeout\b"
)
_CLOCK_COMMENT = re.compile(
    r"(?:#|//|\*).*\b(?:time ?stamps?|created_?at|updated_?at|clock|mtime|ttl|expir\w*|recycl\w*|precision"
    r"|resolution|different (?:time|second|date|created|updated)\w*|later than|time travel|history)\b",
    re.I,
)
_EXPIRES = re.compile(
    r"(?:\b|_|[a-z])(?:ttl|TTL|Ttl)(?:\b|_)|\b[eE]xpir(?:es?|y|ed|ation)|(?:_|\b)expir|Expir|max_?[aA]ge|pool_recycle|lastSyncedAt|last_synced_at"
)
_ASKS_CLOCK = re.compile(
    r"Date\.now\(|performance\.now\(|new Date\(\)|time\.(?:time|monotonic|perf_counter)\("
    r"|datetime\.(?:utc)?now\("
)
_WRITES = re.compile(r"(?:bulk_?)?(?:create|insert|put|save|upsert|record|append|store|persist)", re.I)
_LINES_BEFORE = 8
_LEAST_S = 0.01
_MOST_S = 30
"""Longer ones are there to be interrupted."""


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each pause of a test or a hook."""
    if source.language == "python":
        patched = re.search(
            r"patch[\w.]*\([^)\n]*sleep|setattr\([^)\n]*sleep|fake_sleep|mock_sleep", source.text
        )
        seconds = {id(call): _python_seconds(source, call) for call in source.calls} if not patched else {}
    else:
        faked = re.search(
            r"useFakeTimers|advanceTimers|fakeTimers|clock\.tick|clock\.(?:install|fastForward)", source.text
        )
        seconds = {id(call): _typescript_seconds(source, call) for call in source.calls} if not faked else {}
    for call in source.calls:
        pause_s = seconds.get(id(call))
        is_timer = call.name == "setTimeout" and call.outer is not None and call.outer.name == "new Promise"
        place = call.outer if is_timer and call.outer is not None else call
        if (
            pause_s is None
            or not _LEAST_S <= pause_s <= _MOST_S
            or place.in_loop
            or not _in_a_test(place.scope)
        ):
            continue
        if source.language == "python" and _is_interrupted(source, place):
            continue
        if _is_about_time(source, place):
            continue
        yield at(
            place,
            f"Pauses for {pause_s:g} s whatever happens: too short on a busy machine, else too long.",
        )


def _is_interrupted(source: Source, call: Call) -> bool:
    """Whether it is inside of a `with` that ends it: a time limit, or an error that is expected."""
    indent = len(source.lines[call.line - 1]) - len(source.lines[call.line - 1].lstrip())
    for number in range(call.line - 1, call.scope.line, -1):
        line = source.lines[number - 1]
        own = len(line) - len(line.lstrip())
        if line.strip() and own < indent:
            indent = own
            if re.match(r"\s*(?:async )?with\b.*(?:raises|cancel|timeout|fail_after|move_on)", line):
                return True
    return False


def _is_about_time(source: Source, pause: Call) -> bool:
    """Whether time itself has to go by: something expires, or two rows get different timestamps."""
    lines = source.lines
    if any(_CLOCK_COMMENT.search(line) for line in lines[max(pause.line - 3, 0) : pause.line]):
        return True
    first = max(pause.scope.owner.line, pause.line - _LINES_BEFORE)
    if any(_EXPIRES.search(line) for line in lines[first - 1 : pause.end_line + 2]):
        return True
    after = next((line for line in lines[pause.end_line :] if line.strip()), "")
    before = next((line for line in reversed(lines[: pause.line - 1]) if line.strip()), "")
    return any(_ASKS_CLOCK.search(line) for line in (before, after)) or _is_between_like(source, pause)


def _is_between_like(source: Source, pause: Call) -> bool:
    """Whether it stands between two calls that write in the same way, whose times have to differ."""
    own = [
        one
        for one in source.calls_in(pause.scope)
        if one.scope is pause.scope and one.is_awaited_or_statement
    ]
    earlier = [one for one in own if one.end_line < pause.line]
    later = [one for one in own if one.line > pause.end_line]
    if not earlier or not later:
        return False
    last, following = max(earlier, key=lambda one: one.end_line), min(later, key=lambda one: one.line)
    return last.name == following.name and _WRITES.match(last.method) is not None


def _in_a_test(scope: Scope) -> bool:
    """Whether it is the test itself that pauses: no stub, no worker, no function made for waiting."""
    for one in scope.outwards():
        if one.kind in ("test", "hook"):
            return not _SLEEPING_NAME.search(one.name)
        if one.kind != "callback" or not _TRANSPARENT.search(one.detail):
            return False
    return False


def _python_seconds(source: Source, call: Call) -> float | None:
    if call.name not in _PYTHON or not call.arguments:
        return None
    if call.name == "sleep" and not {"time.sleep", "asyncio.sleep"} & source.modules:
        return None
    if call.outer is not None:
        return None  # it stands for work, as in wait_for(sleep(10), 1)
    number = _number(source, call.arguments[0], call.scope)
    return number / 1000 if number is not None and call.method == "wait_for_timeout" else number


def _typescript_seconds(source: Source, call: Call) -> float | None:
    """Seconds, of a call that is awaited: setTimeout in a promise, or a function of that name."""
    if call.method == "waitForTimeout" or call.name == "cy.wait":
        number = _number(source, call.arguments[0], call.scope) if call.arguments else None
        return None if number is None else number / 1000
    if call.name == "setTimeout" and len(call.arguments) > 1:
        promise = call.outer
        if promise is None or promise.name != "new Promise" or not _ONLY_A_TIMER.match(call.scope.text):
            return None
        number = _number(source, call.arguments[1], call.scope)
        return None if number is None or not promise.is_awaited else number / 1000
    if call.name in _TYPESCRIPT and call.is_awaited and len(call.arguments) == 1:
        number = _number(source, call.arguments[0], call.scope)
        return None if number is None else number / 1000
    return None


def _number(source: Source, value: Value, scope: Scope) -> float | None:
    known = source.resolved(value, scope)
    try:
        return float(known.text.replace("_", "")) if isinstance(known, Number) else None
    except ValueError:
        return None


RULE = Rule(
    "sleep",
    "A test pauses for a fixed time instead of waiting for what it needs.",
    """\
A pause is too short on a machine that is busy with other tests, and too long on every other.

```python
time.sleep(2)                                    # found
wait_until(lambda: job.status() == "done")       # right: ask again until it is so, with a time limit
```

```ts
await new Promise(r => setTimeout(r, 500))       // found
await page.waitForTimeout(500)                   // found
await expect.poll(() => job.status()).toBe('done')   // right
```

Left alone: pauses in which time itself has to go by (something expires, two rows get different timestamps,
the clock is asked beside it), pauses in loops that ask again, in stubs, in workers that a test starts, in
functions made for waiting, under fake timers, below 10 ms, and of more than 30 s, which are there to be
interrupted.
""",
    "Wait for the condition (expect.poll, waitFor, a loop with a time limit), not for a time.",
    (
        (
            "sleep(",
            "settimeout",
            "waitfortimeout",
            "wait_for_timeout",
            "delay(",
            "wait(",
            "pause(",
            "waitfor(",
            "timeout(",
        ),
    ),
    check,
    pattern=re.compile(
        r"sleep\(|settimeout|waitfortimeout|wait_for_timeout|\b(?:delay|wait|pause|waitfor|timeout)\(\s*[\w.]+\s*\)"
    ),
)
