"""What lint costs on 1,000 files of tests, beside a bare parse of all of them: processor time and memory.

    python -m tests.benchmarks.lint [PATHS…]

Without paths, the files are generated: two in three are TypeScript, 8 kB each, one in three has
something to find.
"""

from __future__ import annotations

import ast
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tree_sitter import Language, Parser
from tree_sitter_typescript import language_tsx, language_typescript

from pgwatch_tests.lint import files
from pgwatch_tests.lint.check import check
from pgwatch_tests.lint.rules import RULES
from tests.benchmarks.measure import interleave

BUDGET_S = 4.0
"""Of 1,000 files."""
_FILES = 1_000
_BYTES = 8_000
_ROUNDS = 3

_TYPESCRIPT = """
  test('case {n} of {file}', async () => {{
    const parent = await factory.createParent({{ name: `parent-${{run}}-{n}`, role: 'PARENT' }})
    const response = await request(app).post('/bookings').send({{ parentId: parent.id, slots: [1, 2, 3] }})
    expect(response.status).toBe(201)
    expect(response.body).toMatchObject({{ status: 'CONFIRMED', amount: '50.00' }})
    {suspect}
  }})
"""
_PYTHON = """
def test_case_{n}(session, client):
    parent = make_parent(session, name=f"parent-{{uuid4()}}", role="PARENT")
    response = client.post("/bookings", json={{"parent_id": parent.id, "slots": [1, 2, 3]}})
    assert response.status_code == 201
    assert response.json()["status"] == "CONFIRMED"
    {suspect}
"""
_SUSPECTS = {
    ".ts": (
        "await sleep(500)",
        "await db.insert(users).values({ email: 'a@b.example' })",
        "await db.delete(users)",
    ),
    ".py": ("time.sleep(1)", "session.add(User(email='a@b.example'))", "session.execute(delete(User))"),
}


def generate(directory: Path) -> None:
    """Writes the suite."""
    for number in range(_FILES):
        ending = ".py" if number % 3 == 0 else ".ts"
        text = "import time\n" if ending == ".py" else "describe('bookings', () => {\n"
        case = 0
        while len(text) < _BYTES:
            suspects = _SUSPECTS[ending]
            suspect = (
                suspects[number // 9 % 3]
                if number // 3 % 3 == 0 and case == 1
                else "pass" * (ending == ".py")
            )
            text += (_PYTHON if ending == ".py" else _TYPESCRIPT).format(n=case, file=number, suspect=suspect)
            case += 1
        name = f"test_{number}.py" if ending == ".py" else f"{number}.test.ts"
        (directory / name).write_text(text + ("" if ending == ".py" else "})\n"), encoding="utf-8")


def lint_s(paths: Sequence[Path]) -> float:
    """Processor time of a check by all rules."""
    began = time.process_time()
    check(paths, tuple(RULES.values()))
    return time.process_time() - began


def parse_s(paths: Sequence[Path]) -> float:
    """Processor time of reading and parsing all those files, by the same parsers."""
    began = time.process_time()
    parsers = {False: Parser(Language(language_typescript())), True: Parser(Language(language_tsx()))}
    for file in files.find(paths):
        data = file.path.read_bytes()
        if file.language == "python":
            try:
                ast.parse(data)
            except (SyntaxError, ValueError):
                continue
        elif file.language == "typescript":
            parsers[file.path.suffix not in (".ts", ".mts", ".cts")].parse(data)
    return time.process_time() - began


def main() -> None:
    """Prints both, their ratio, and the peak of memory."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(argument) for argument in sys.argv[1:]] or [Path(directory)]
        if not sys.argv[1:]:
            generate(Path(directory))
        found = list(files.find(paths))
        size = sum(file.path.stat().st_size for file in found)
        print(f"{len(found):,} files, {size / 1e6:.1f} MB")
        samples = interleave({"lint": lambda: lint_s(paths), "parse": lambda: parse_s(paths)}, _ROUNDS)
        per_thousand = samples.median("lint") / len(found) * 1_000
        print(f"lint: {samples.median('lint'):.2f} s, {per_thousand:.2f} s per 1,000 (budget {BUDGET_S:g} s)")
        print(f"bare parse of all: {samples.median('parse'):.2f} s")
        print(f"lint to parse: {samples.ratio('lint', 'parse')}")
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
