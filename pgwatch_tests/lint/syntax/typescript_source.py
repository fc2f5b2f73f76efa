"""Reads a TypeScript or JavaScript file of tests as a `Source`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgwatch_tests.lint.syntax import typescript_values as values
from pgwatch_tests.lint.syntax.source import Assigned, Call, Scope, ScopeKind, Source, Use
from pgwatch_tests.lint.syntax.typescript_tree import Node, captures
from pgwatch_tests.lint.syntax.typescript_values import name_of, text_of
from pgwatch_tests.lint.syntax.values import HOLE, texts

_TEST = re.compile(r"(?:^|\.)(?:x|f)?(?:it|test|specify)(?:\.\w+)*$")
_SUITE = re.compile(r"(?:^|\.)(?:x|f)?(?:describe|suite|context)(?:\.\w+)*$")
_HOOK = re.compile(
    r"(?:^|\.)(?:(?:before|after)(?:Each|All)?|setup|teardown|suiteSetup|suiteTeardown|around(?:Each|All))$"
)
_NOT_TESTS = frozenset(
    [
        "step",
        "describe",
        "configure",
        "use",
        "extend",
        "slow",
        "setTimeout",
        "skip",
        "beforeEach",
        "beforeAll",
        "afterEach",
        "afterAll",
        "info",
    ]
)
_CLASSES = ("class_declaration", "class")


@dataclass(slots=True)
class _Open:
    """What a place is in: read from the outside inwards."""

    end: int
    scope: Scope
    in_loop: bool = False
    in_finally: bool = False
    call: Call | None = None
    arguments_from: int = 0
    """The byte from which on something is inside of the call's arguments; its receiver is before."""


def read(path: str, data: bytes, tsx: bool) -> Source | None:
    """Parses a file; None if it isn't TypeScript. `data` is UTF-8. Needs the extra `lint`."""
    found = captures(data, tsx)
    if found is None:
        return None
    text = data.decode("utf-8", "replace")
    module = Scope("module", "", 1, text.count("\n") + 1, None, read=lambda: text)
    source = Source(path, "typescript", text, module, [module], [])
    reader = _Reader(source, len(data))
    kinds = [(kind, one) for kind, those in found.items() for one in those]
    # A number before the node, so that nodes are never compared.
    places = sorted((one.start_byte, -one.end_byte, at) for at, (_, one) in enumerate(kinds))
    for start, negative_end, at in places:
        kind, node = kinds[at]
        reader.add(start, -negative_end, kind, node)
    source.modules = frozenset(reader.modules)
    return source


class _Reader:
    """Goes over the nodes of a file, outer ones first."""

    def __init__(self, source: Source, end: int) -> None:
        self.modules: set[str] = set()
        self._source = source
        self._names: dict[int, str] = {}
        self._calls: dict[int, Call] = {}
        self._waiting: dict[int, Call] = {}
        self._stack = [_Open(end + 1, source.module)]

    def add(self, start: int, end: int, kind: str, node: Node) -> None:
        """Takes in the next node of a kind of `typescript_tree`."""
        stack = self._stack
        while stack[-1].end <= start:
            stack.pop()
        around = stack[-1]
        if kind == "scope":
            scope = _scope(node, around.scope, self._outer(start), self._names)
            self._source.scopes.append(scope)
            stack.append(_Open(end, scope))
        elif kind == "loop":
            stack.append(_Open(end, around.scope, True, around.in_finally))
        elif kind == "finally":
            stack.append(_Open(end, around.scope, around.in_loop, True))
        elif kind == "call":
            arguments = node.child_by_field_name("arguments")
            call = self._call(node, arguments, around, self._outer(start))
            arguments_from = end if arguments is None else arguments.start_byte
            stack.append(_Open(end, around.scope, around.in_loop, around.in_finally, call, arguments_from))
        elif kind == "constant":
            self._declare(node, around.scope)
        elif kind == "assignment":
            target = node.child_by_field_name("left") or node.child_by_field_name("argument")
            self._source.assignments.append((text_of(target), around.scope, node.start_point[0] + 1))
        elif kind == "lost":
            self._source.lost_at = self._source.lost_at or node.start_point[0] + 1
        else:
            self.modules.add(text_of(node).strip("'\"`"))

    def _outer(self, start: int) -> Call | None:
        """The innermost call that a place is in the arguments of."""
        for one in reversed(self._stack):
            if one.call is not None and one.arguments_from <= start:
                return one.call
        return None

    def _call(self, node: Node, arguments: Node | None, around: _Open, outer: Call | None) -> Call:
        names = self._names
        # Asked for once: most of the time of a file goes into such questions.
        function = node.child_by_field_name("function")
        call = Call(
            name_of(node, names) if function is not None else f"new {name_of(node, names)}",
            node.start_point[0] + 1,
            node.start_point[1] + 1,
            node.end_point[0] + 1,
            around.scope,
            lambda: values.arguments_of(node, names),
            None,
            outer,
            around.in_loop,
            around.in_finally,
            is_tag=arguments is not None and arguments.type == "template_string",
            read_use=lambda: _use(node),
        )
        # The last line of a chain is where its method is: a reader looks there.
        if function is not None and function.type == "member_expression":
            prop = function.child_by_field_name("property")
            if prop is not None:
                call.line, call.column = prop.start_point[0] + 1, prop.start_point[1] + 1
        self._source.calls.append(call)
        # A receiver begins where its call begins, and comes later since it is shorter.
        continued = self._waiting.pop(node.id, None)
        if continued is not None:
            call.continued, continued.receiver = continued, call
        receiver = values.receiver_of(function)
        if receiver is not None:
            self._waiting[receiver.id] = call
        return call

    def _declare(self, node: Node, scope: Scope) -> None:
        name, value = text_of(node.child_by_field_name("name")), node.child_by_field_name("value")
        declaration = node.parent
        is_shared = (
            scope.kind in ("module", "suite")
            and declaration is not None
            and declaration.type != "for_in_statement"
        )
        if is_shared and text_of(declaration).startswith(("let", "var")):
            self._source.shared_variables.setdefault(name, node.start_point[0] + 1)
        if value is None:
            return
        line = node.start_point[0] + 1
        assigned = Assigned(scope, line, lambda: values.value_of(value, self._names))
        self._source.constants.setdefault(name, []).append(assigned)


def _use(node: Node) -> Use:
    """What is done with a call. Read late: a parser finds a node's parent from the top."""
    parent = node.parent
    is_awaited = parent is not None and parent.type == "await_expression"
    if is_awaited and parent is not None:
        parent = parent.parent
    kind = "" if parent is None else parent.type
    return Use(kind == "expression_statement", is_awaited, not is_awaited and kind == "variable_declarator")


def _scope(node: Node, parent: Scope, call: Call | None, names: dict[int, str]) -> Scope:
    line, end_line = node.start_point[0] + 1, node.end_point[0] + 1
    kind, name, detail = _described(node, call, names)
    return Scope(kind, name, line, end_line, parent, detail, lambda: text_of(node))


def _described(node: Node, call: Call | None, names: dict[int, str]) -> tuple[ScopeKind, str, str]:
    """Kind, name and detail of a function or class."""
    named = text_of(node.child_by_field_name("name"))
    if node.type in _CLASSES:
        return "class", named, ""
    if node.type == "method_definition" or node.type in (
        "function_declaration",
        "generator_function_declaration",
    ):
        return "function", named, ""
    parent = node.parent
    if parent is not None and parent.type == "variable_declarator":
        return "function", text_of(parent.child_by_field_name("name")), ""
    if parent is not None and parent.type in ("public_field_definition", "field_definition"):
        return "function", text_of(parent.child_by_field_name("name")), ""
    if parent is None or parent.type != "arguments" or call is None:
        if parent is not None and parent.type == "pair":
            return "callback", text_of(parent.child_by_field_name("key")), "pair"
        return "callback", named, ""
    method = call.method
    if _HOOK.search(call.name):
        return "hook", call.name, method
    if _SUITE.search(call.name) and method != "configure":
        return "suite", _title(parent), call.name
    # `/a/.test("x")` has no function, and a test has more than that.
    if _TEST.search(call.name) and method not in _NOT_TESTS and parent.named_children[0].id != node.id:
        return "test", _title(parent), call.name
    return "callback", "", call.name


def _title(arguments: Node) -> str:
    """A test's title; `…` stands for what is computed."""
    return next(texts((values.value_of(arguments.named_children[0], {}),)), "").replace(HOLE, "…")
