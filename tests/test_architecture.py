"""docs/architecture.md names what is there: files, functions, rooms, and each step's way to the next."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pgwatch_tests"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_STEP = re.compile(r"^\| (\d+) \| `([\w/]+\.py)` \| `(\w+)` \|", re.MULTILINE)
_FILE = re.compile(r"`([\w/]+\.(?:py|sql))`")


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a walk."""

    number: int
    file: str
    function: str


def section(heading: str) -> str:
    """The text under a heading of the second order."""
    return re.split(r"^## ", TEXT.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def steps(heading: str) -> list[Step]:
    return [Step(int(number), file, name) for number, file, name in _STEP.findall(section(heading))]


@cache
def nodes(file: str) -> tuple[ast.AST, ...]:
    """All of a module's syntax."""
    return tuple(ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))))


@cache
def imported(file: str) -> frozenset[str]:
    """Modules of the package, as paths, that a module imports, wherever in it."""
    found = set()
    for node in nodes(file):
        names: Sequence[str] = ()
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]  # import_module
        for name in names:
            if name.startswith("pgwatch_tests."):
                found.add(name.removeprefix("pgwatch_tests.").replace(".", "/") + ".py")
    return frozenset(found)


WALKS = ["A poll, from the server to the screen", "A marked row, from its discovery to its DELETE"]


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_is_short_and_each_step_leads_to_the_next(walk: str) -> None:
    walked = steps(walk)
    beside = set(_FILE.findall(section(walk).partition("Beside it:")[2]))

    assert [step.number for step in walked] == list(range(1, len(walked) + 1))
    assert 10 <= len(walked) <= 15
    assert len({step.file for step in walked} | beside) <= 22
    for position, step in enumerate(walked):
        assert step.function in defined(step.file), step
        known = {file for earlier in walked[:position] for file in imported(earlier.file)}
        assert not position or step.file in known, step
    known = {file for step in walked for file in imported(step.file)}
    assert beside <= known, beside - known


def defined(file: str) -> set[str]:
    """Functions and methods of a module."""
    return {one.name for one in nodes(file) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_all_files_that_are_named_are_there() -> None:
    missing = [
        name for name in _FILE.findall(TEXT) if not any((base / name).exists() for base in (ROOT, PACKAGE))
    ]
    assert [name for name in missing if name not in ("session_rules.py", "table_rules.py")] == []


def test_all_rooms_are_told_in_the_order_of_their_layers() -> None:
    told = re.findall(r"^\| `(\w+)` \|", section("Rooms"), re.MULTILINE)
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [re.findall(r"\w+", layer) for layer in contracts["contracts"][0]["layers"]]
    rank = {name: place for place, layer in enumerate(layers) for name in layer}

    assert set(told) == rooms
    assert [rank[room] for room in told] == sorted(rank[room] for room in told)
