"""Reads a Python file of tests as a `Source`."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence

from pgwatch_tests.lint.syntax.source import Assigned, Call, Scope, ScopeKind, Source, Use
from pgwatch_tests.lint.syntax.values import (
    HOLE,
    Invocation,
    Items,
    Lambda,
    Mapping,
    Name,
    Number,
    Pair,
    Text,
    Unknown,
    Value,
)

_HOOKS = re.compile(
    r"(?:setUp|tearDown|setUpClass|tearDownClass|setUpTestData|asyncSetUp|asyncTearDown"
    r"|(?:setup|teardown)(?:_(?:method|class|module|function))?|pytest_\w+)$"
)
_TEST_CLASS = re.compile(r"Test|Case$|Tests$|Mixin$")
_DEEPEST = 8
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def read(path: str, text: str) -> Source:
    """Parses a file's text, whatever encoding it names.

    Raises SyntaxError, ValueError, RecursionError or MemoryError if it isn't Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as of an escape in a string of the suite's
        tree = ast.parse(text)
    module = Scope("module", "", 1, text.count("\n") + 1, None, read=lambda: text)
    source = Source(path, "python", text, module, [module], [])
    reader = _Reader(source)
    for node in tree.body:
        reader.visit(node)
    source.modules = frozenset(reader.modules)
    return source


class _Reader(ast.NodeVisitor):
    """Goes over a module, and keeps in mind where it is."""

    def __init__(self, source: Source) -> None:
        self.modules: set[str] = set()
        self._source = source
        self._lines = source.lines
        self._scope = source.module
        self._outer: Call | None = None
        self._in_loop = False
        self._in_finally = False
        self._statement: ast.expr | None = None

    def visit_Import(self, node: ast.Import) -> None:
        self.modules.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.modules.add("." * node.level + (node.module or ""))
        self.modules.update(f"{node.module}.{alias.name}" for alias in node.names)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = " ".join(map(dotted, node.bases))
        self._within(node, Scope("class", node.name, node.lineno, node.end_lineno or 0, self._scope, bases))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        scope = Scope("callback", "", node.lineno, node.end_lineno or 0, self._scope)
        scope.detail = "" if self._outer is None else self._outer.name
        before, self._scope = self._scope, scope
        self.visit(node.body)
        self._scope = before

    def visit_For(self, node: ast.For) -> None:
        self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._loop(node)

    def visit_While(self, node: ast.While) -> None:
        self._loop(node)

    def visit_Try(self, node: ast.Try) -> None:
        for part in (*node.body, *node.handlers, *node.orelse):
            self.visit(part)
        before, self._in_finally = self._in_finally, True
        for part in node.finalbody:
            self.visit(part)
        self._in_finally = before

    def visit_Expr(self, node: ast.Expr) -> None:
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        self._statement = value
        self.visit(node.value)

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self._source.assignments.append((name, self._scope, node.lineno))

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._declare(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._declare(node.target, node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, None)

    def _call(self, node: ast.Call, continued: Call | None) -> None:
        end = node.func.end_lineno or node.lineno
        end_column = node.func.end_col_offset or 0
        name = dotted(node.func)
        call = Call(
            name,
            end,
            end_column - len(name.rpartition(".")[2]) + 1,
            node.end_lineno or node.lineno,
            self._scope,
            lambda: arguments_of(node),
            None,
            self._outer,
            self._in_loop,
            self._in_finally,
        )
        is_statement = node is self._statement or (continued is not None and continued.is_statement)
        call.read_use = lambda: Use(is_statement)
        call.continued = continued
        if continued is not None:
            continued.receiver = call
        self._source.calls.append(call)
        inner = node.func
        while isinstance(inner, ast.Attribute | ast.Subscript | ast.Await):
            inner = inner.value
        if isinstance(inner, ast.Call):
            self._call(inner, call)
        elif not isinstance(inner, ast.Name):
            self.visit(inner)
        before, self._outer = self._outer, call
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.visit(argument)
        self._outer = before

    def _function(self, node: Function) -> None:
        kind, detail = _kind(node, self._scope)
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        scope = Scope(kind, node.name, node.lineno, node.end_lineno or 0, self._scope, detail)
        scope.read = lambda: "\n".join(self._lines[first - 1 : node.end_lineno])
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._within(node, scope)

    def _within(self, node: ast.ClassDef | Function, scope: Scope) -> None:
        before = (self._scope, self._outer, self._in_loop, self._in_finally)
        self._source.scopes.append(scope)
        if isinstance(node, ast.ClassDef):
            scope.read = lambda: "\n".join(self._lines[scope.line - 1 : scope.end_line])
        self._scope, self._outer, self._in_loop, self._in_finally = scope, None, False, False
        for statement in node.body:
            self.visit(statement)
        self._scope, self._outer, self._in_loop, self._in_finally = before

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        self.visit(node.test if isinstance(node, ast.While) else node.iter)
        before, self._in_loop = self._in_loop, True
        for statement in (*node.body, *node.orelse):
            self.visit(statement)
        self._in_loop = before

    def _declare(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            assigned = Assigned(self._scope, target.lineno, lambda: value_of(value))
            self._source.constants.setdefault(target.id, []).append(assigned)


def _kind(node: Function, parent: Scope) -> tuple[ScopeKind, str]:
    """Whether a function is a test, a hook or neither, and how wide a fixture is."""
    for decorator in node.decorator_list:
        name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name.rpartition(".")[2] in ("fixture", "pytest_fixture", "async_fixture"):
            width = "function"
            if isinstance(decorator, ast.Call):
                keywords = {one.arg: value_of(one.value) for one in decorator.keywords}
                given = keywords.get("scope")
                width = given.text if isinstance(given, Text) else width
            return "hook", width
    if _HOOKS.match(node.name):
        return "hook", node.name
    at_top = parent.kind == "module" or (
        parent.kind == "class" and _TEST_CLASS.search(parent.name + " " + parent.detail)
    )
    return ("test", "") if node.name.startswith("test") and at_top else ("function", "")


def dotted(node: ast.expr) -> str:
    """The chain of names of an expression, calls left out: `session.query.delete`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Subscript | ast.Await):
        return dotted(node.value)
    return "?"


def arguments_of(node: ast.Call, depth: int = 0) -> tuple[Value, ...]:
    """The arguments of a call; those with keywords are a mapping at the end."""
    values = [value_of(one, depth) for one in node.args]
    if node.keywords:
        values.append(
            Mapping(
                tuple(
                    Pair(
                        one.arg or "...",
                        value_of(one.value, depth),
                        one.value.lineno,
                        one.value.col_offset + 1,
                    )
                    for one in node.keywords
                )
            )
        )
    return tuple(values)


def value_of(node: ast.expr, depth: int = 0) -> Value:
    """The value of an expression; Unknown beyond a depth at which nobody writes test data."""
    if depth > _DEEPEST:
        return Unknown()
    deeper = depth + 1
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return Text(node.value)
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        return Number(str(node.value)) if number else Unknown()
    if isinstance(node, ast.JoinedStr):
        return Text(
            "".join(
                one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else HOLE
                for one in node.values
            )
        )
    if isinstance(node, ast.Name | ast.Attribute):
        return Name(dotted(node))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            base = value_of(node.func.value, deeper)
            return Text(base.text + HOLE) if isinstance(base, Text) else Unknown()
        return Invocation(dotted(node.func), arguments_of(node, deeper))
    if isinstance(node, ast.Dict):
        return Mapping(tuple(_pairs(node, deeper)))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return Items(tuple(value_of(one, deeper) for one in node.elts))
    if isinstance(node, ast.Await | ast.Starred):
        return value_of(node.value, deeper)
    if isinstance(node, ast.Lambda):
        return Lambda(value_of(node.body, deeper))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        sides = (value_of(node.left, deeper), value_of(node.right, deeper))
        texts = [one.text if isinstance(one, Text) else HOLE for one in sides]
        return Text("".join(texts)) if any(isinstance(one, Text) for one in sides) else Unknown()
    return Unknown()


def _pairs(node: ast.Dict, depth: int) -> Sequence[Pair]:
    return [
        Pair(
            key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "...",
            value_of(value, depth),
            value.lineno,
            value.col_offset + 1,
        )
        for key, value in zip(node.keys, node.values, strict=True)
    ]
