"""Parses a file by its language."""

from __future__ import annotations

from pgwatch_tests.lint.files import File
from pgwatch_tests.lint.syntax import comments, python_source, typescript_source, typescript_tree
from pgwatch_tests.lint.syntax.source import Scope, Source

TOO_DEEP = "nested too deeply"


def parse(file: File, data: bytes, text: str) -> Source:
    """A file's source. `data` is its text as UTF-8. Raises ValueError with why it can't be parsed."""
    if file.language == "yaml":
        module = Scope("module", "", 1, text.count("\n") + 1, None, read=lambda: text)
        source = Source(file.shown, "yaml", text, module, [module], [])
        source.read_comments = lambda: comments.of_yaml(text)
        return source
    return _typescript(file, data) if file.language == "typescript" else _python(file, text)


def _typescript(file: File, data: bytes) -> Source:
    if not typescript_tree.is_installed():
        raise ValueError(typescript_tree.MISSING)
    tsx = file.path.suffix.lower() in (".tsx", ".jsx", ".js", ".mjs", ".cjs")
    try:
        source = typescript_source.read(file.shown, data, tsx)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if source is None:
        raise ValueError("isn't TypeScript")
    source.read_comments = lambda: comments.of_typescript(data, tsx)
    return source


def _python(file: File, text: str) -> Source:
    try:
        source = python_source.read(file.shown, text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise ValueError(f"{where}{error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError(TOO_DEEP) from None
    source.read_comments = lambda: comments.of_python(text)
    return source
