"""Values of TypeScript source, and the chains of names before its calls."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.lint.syntax.typescript_tree import Node
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

_DEEPEST = 8
_TRANSPARENT = frozenset(
    (
        "parenthesized_expression",
        "as_expression",
        "satisfies_expression",
        "non_null_expression",
        "await_expression",
    )
)
_LEADING = _TRANSPARENT | {"member_expression", "subscript_expression"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def text_of(node: Node | None) -> str:
    """The source of a node; empty for none."""
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")


def name_of(node: Node | None, names: dict[int, str]) -> str:
    """The chain of names of an expression, calls left out: `db.insert.values`. Remembers those of calls."""
    if node is None:
        return "?"
    kind = node.type
    if kind in ("identifier", "this", "super", "property_identifier", "import"):
        return text_of(node)
    if kind == "member_expression":
        last = text_of(node.child_by_field_name("property"))
        return f"{name_of(node.child_by_field_name('object'), names)}.{last}"
    if kind == "call_expression":
        if node.id not in names:
            names[node.id] = name_of(node.child_by_field_name("function"), names)
        return names[node.id]
    if kind in _TRANSPARENT:
        return name_of(node.named_children[0] if node.named_children else None, names)
    if kind == "new_expression":
        return name_of(node.child_by_field_name("constructor"), names)
    if kind in ("subscript_expression", "instantiation_expression"):
        return name_of(node.child_by_field_name("object") or _first(node), names)
    return "?"


def receiver_of(function: Node | None) -> Node | None:
    """The call that a call goes on from, by its function: `db.insert(t)` of `db.insert(t).values(v)`."""
    inner = function
    while inner is not None and inner.type in _LEADING:
        inner = inner.child_by_field_name("object") or _first(inner)
    return inner if inner is not None and inner.type == "call_expression" else None


def arguments_of(node: Node, names: dict[int, str], depth: int = 0) -> tuple[Value, ...]:
    """The arguments of a call, or the template of a tagged one."""
    arguments = node.child_by_field_name("arguments")
    if arguments is None:
        return ()
    if arguments.type == "template_string":
        return (value_of(arguments, names, depth),)
    return tuple(value_of(one, names, depth) for one in arguments.named_children if one.type != "comment")


def value_of(node: Node, names: dict[int, str], depth: int = 0) -> Value:
    """The value of an expression; Unknown beyond a depth at which nobody writes test data."""
    kind = node.type
    if depth > _DEEPEST:
        return Unknown()
    if kind == "string":
        return Text(_string(node))
    if kind == "template_string":
        return Text(_template(node))
    if kind == "number":
        return Number(text_of(node))
    if kind in ("identifier", "member_expression", "this"):
        return Name(name_of(node, names))
    if kind == "object":
        return Mapping(
            tuple(_pair(one, names, depth + 1) for one in node.named_children if one.type != "comment")
        )
    if kind == "array":
        return Items(
            tuple(value_of(one, names, depth + 1) for one in node.named_children if one.type != "comment")
        )
    if kind in ("call_expression", "new_expression"):
        return Invocation(name_of(node, names), arguments_of(node, names, depth + 1))
    if kind in ("arrow_function", "function_expression"):
        body = node.child_by_field_name("body")
        known = body is not None and body.type != "statement_block"
        return Lambda(value_of(body, names, depth + 1) if body is not None and known else Unknown())
    if kind in _TRANSPARENT and node.named_children:
        return value_of(node.named_children[0], names, depth + 1)
    if kind == "binary_expression" and text_of(node.child_by_field_name("operator")) == "+":
        return _sum([value_of(one, names, depth + 1) for one in node.named_children])
    return Unknown()


def _first(node: Node) -> Node | None:
    return node.named_children[0] if node.named_children else None


def _sum(values: Sequence[Value]) -> Value:
    if not any(isinstance(one, Text) for one in values):
        return Unknown()
    return Text("".join(one.text if isinstance(one, Text) else HOLE for one in values))


def _string(node: Node) -> str:
    return "".join(
        text_of(one) if one.type == "string_fragment" else _ESCAPES.get(text_of(one)[1:], text_of(one)[1:])
        for one in node.named_children
    )


def _template(node: Node) -> str:
    return "".join(
        HOLE if one.type == "template_substitution" else text_of(one)
        for one in node.named_children
        if one.type in ("string_fragment", "template_substitution", "escape_sequence")
    )


def _pair(node: Node, names: dict[int, str], depth: int) -> Pair:
    line, column = node.start_point[0] + 1, node.start_point[1] + 1
    if node.type == "pair":
        key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
        known = Unknown() if value is None else value_of(value, names, depth)
        return Pair(text_of(key).strip("'\"`"), known, line, column)
    if node.type == "shorthand_property_identifier":
        return Pair(text_of(node), Name(text_of(node)), line, column)
    if node.type == "method_definition":
        return Pair(text_of(node.child_by_field_name("name")), Lambda(Unknown()), line, column)
    return Pair("...", Unknown(), line, column)
