"""Expression trees as the server stores them (pg_node_tree): which calls it runs when it plans. Pure.

The planner computes a call that has only constants for arguments, and puts the body of a function in SQL in
its place (src/backend/optimizer/util/clauses.c: simplify_function, evaluate_function, inline_function). The
arguments may become constants on the way: COALESCE, CASE, AND and OR drop what doesn't matter, and a strict
function of a NULL is NULL. A column stays a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

# As src/backend/nodes/outfuncs.c writes them. Bytes of a constant are in brackets.
_TOKEN = re.compile(r"\[[^\]]*\]|[{}()]|(?:\\.|[^\s{}()\\])+")
_CALLS = {"funcid": "FUNCEXPR", "opno": "OPEXPR"}
# Nodes that stay in a plan as long as their arguments do.
_AROUND = ("RELABELTYPE", "COLLATEEXPR", "COERCEVIAIO")
_FIRST_OF_USERS = 16384

Reference = Literal["funcid", "opno"]


@dataclass(slots=True)
class _Node:
    type: str
    fields: dict[str, list[str | _Node]] = field(default_factory=dict)

    def nodes(self, name: str) -> list[_Node]:
        return [part for part in self.fields.get(name, ()) if isinstance(part, _Node)]

    def number(self, name: str) -> int:
        [text] = self.fields[name]
        assert isinstance(text, str)
        return int(text)


def is_only_called_with_columns(trees: Iterable[str], reference: Reference, oid: int) -> bool:
    """Whether the function (`funcid`) or operator (`opno`) is called there, and each time with an argument
    that is still no constant when the expression is planned. False where that can't be told.
    """
    calls = [
        node
        for tree in trees
        for node in _nodes(_parse(tree))
        if reference in node.fields and node.number(reference) == oid
    ]
    return bool(calls) and all(
        node.type == _CALLS[reference] and any(map(_stays, node.nodes("args"))) for node in calls
    )


def _stays(node: _Node) -> bool:
    """Whether it can't become a constant: a column, or what the server's own functions make of one."""
    if node.type == "VAR":
        return True
    if node.type in _AROUND:
        return all(map(_stays, node.nodes("arg")))
    arguments = node.nodes("args")
    is_own = any(
        node.type == type_ and node.number(reference) < _FIRST_OF_USERS for reference, type_ in _CALLS.items()
    )
    return is_own and any(map(_stays, arguments)) and not any(map(_is_null, _nodes(arguments)))


def _is_null(node: _Node) -> bool:
    return node.type == "CONST" and node.fields["constisnull"] == ["true"]


def _nodes(roots: Iterable[_Node]) -> Iterator[_Node]:
    """The nodes, and all below them."""
    for node in roots:
        yield node
        for name in node.fields:
            yield from _nodes(node.nodes(name))


def _parse(text: str) -> list[_Node]:
    """The outermost nodes."""
    open_nodes = [_Node("")]
    names = [""]
    for token in _TOKEN.findall(text):
        node = open_nodes[-1]
        if token == "{":
            inner = _Node("")
            node.fields.setdefault(names[-1], []).append(inner)
            open_nodes.append(inner)
            names.append("")
        elif token == "}":
            open_nodes.pop()
            names.pop()
        elif token in "()":
            # A list is a field's parts, as one is.
            continue
        elif not node.type and len(open_nodes) > 1:
            node.type = token
        elif token.startswith(":"):
            names[-1] = token[1:]
        else:
            node.fields.setdefault(names[-1], []).append(token)
    return list(_roots(open_nodes))


def _roots(open_nodes: Sequence[_Node]) -> Iterator[_Node]:
    [outermost] = open_nodes
    return iter(outermost.nodes(""))
