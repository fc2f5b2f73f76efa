"""The boundary to tree-sitter: parses TypeScript and JavaScript, with types of our own for its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tree_sitter import Language, Query

MISSING = "needs the extra lint (pip install 'pgwatch-tests[lint]')"

# What a source is made of. Everything else is read by way of these.
_QUERY = """
[(arrow_function) (function_expression) (function_declaration) (generator_function)
 (generator_function_declaration) (method_definition) (class_declaration) (class)] @scope
[(for_statement) (for_in_statement) (while_statement) (do_statement)] @loop
(finally_clause) @finally
[(call_expression) (new_expression)] @call
(variable_declarator name: (identifier)) @constant
(assignment_expression left: (identifier)) @assignment
(augmented_assignment_expression left: (identifier)) @assignment
(update_expression argument: (identifier)) @assignment
(import_statement source: (string) @module)
(ERROR (identifier) @lost (#any-of? @lost "test" "it" "describe" "suite"))
"""


class Node(Protocol):
    """A node of a syntax tree; positions are counted from 0, columns in bytes."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def start_byte(self) -> int: ...
    @property
    def end_byte(self) -> int: ...
    @property
    def start_point(self) -> tuple[int, int]: ...
    @property
    def end_point(self) -> tuple[int, int]: ...
    @property
    def text(self) -> bytes | None: ...
    @property
    def parent(self) -> Node | None: ...
    @property
    def named_children(self) -> Sequence[Node]: ...
    def child_by_field_name(self, name: str, /) -> Node | None: ...


@cache
def is_installed() -> bool:
    """Whether the extra `lint` is there."""
    return all(find_spec(name) is not None for name in ("tree_sitter", "tree_sitter_typescript"))


def captures(source: bytes, tsx: bool) -> Mapping[str, Sequence[Node]] | None:
    """Parses a file. Returns the nodes that a source is made of, by kind; None if it isn't TypeScript at all.

    An error in it is local: the rest of the file is there. `lost` are names of tests that an error has cut
    from their bodies; other errors say nothing, since the grammar doesn't know all of TypeScript. Needs
    `is_installed()`.
    """
    from tree_sitter import Parser, QueryCursor

    language, query = _grammar(tsx)
    tree = Parser(language).parse(source)
    if tree.root_node.type == "ERROR":
        return None
    found: Mapping[str, Sequence[Node]] = QueryCursor(query).captures(tree.root_node)
    return found


def comments(source: bytes, tsx: bool) -> Sequence[Node]:
    """Parses a file. Returns its comments, in order. Needs `is_installed()`."""
    from tree_sitter import Parser, Query, QueryCursor

    language, _ = _grammar(tsx)
    root = Parser(language).parse(source).root_node
    found: Mapping[str, Sequence[Node]] = QueryCursor(Query(language, "(comment) @comment")).captures(root)
    return sorted(found.get("comment", ()), key=lambda node: node.start_byte)


@cache
def _grammar(tsx: bool) -> tuple[Language, Query]:
    import tree_sitter_typescript as grammars
    from tree_sitter import Language, Query

    language = Language(grammars.language_tsx() if tsx else grammars.language_typescript())
    return language, Query(language, _QUERY)
