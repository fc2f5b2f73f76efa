"""The JSON documents: the files of docs/schemas, and what each describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from screenshots.reference.cells import table

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def text() -> str:
    """A table of all documents, and below it the fields of each."""
    schemas = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    rows = [
        (
            f"[{schema['title']}](#{path.stem})",
            _commands(schema["x-written-by"]),
            schema["description"],
        )
        for path, schema in schemas.items()
    ]
    parts = [table(("document", "written by", "holds"), rows)]
    parts += [_section(path, schema) for path, schema in schemas.items()]
    return "\n\n".join(parts)


def _commands(written_by: str) -> str:
    """Code, if it is one command; a sentence has its own."""
    return written_by if "`" in written_by else f"`{written_by}`"


def _section(path: Path, schema: dict[str, Any]) -> str:
    link = f"JSON Schema: [{path.name}](../schemas/{path.name})"
    fields = "\n".join(_fields(schema, 0))
    return f"### {path.stem}\n\n{schema['description']} {link}\n\n```text\n{fields}\n```"


def _fields(schema: dict[str, Any], depth: int) -> Iterator[str]:
    """Yields a line for each field, those inside of it indented below it."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        shown = f"{'  ' * depth}{name}{'' if name in required else '?'}: {_type(field)}"
        yield shown
        inner = field
        while "items" in inner:
            inner = inner["items"]
        yield from _fields(inner, depth + 1)


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return f'"{field["const"]}"'
    if "items" in field:
        inner = _type(field["items"])
        many = f"[{inner}]"
        return f"{many} or null" if "null" in field["type"] else many
    if "$ref" in field:
        return f"as {field['$ref'].rpartition('/')[2].removesuffix('.json')}"
    if "allOf" in field:
        return f"as {field['allOf'][0]['$ref'].removesuffix('.json')}, and"
    if "enum" in field and len(field["enum"]) <= 5:
        return " | ".join(field["enum"])
    types = field.get("type", "any")
    names = [types] if isinstance(types, str) else [one for one in types if one != "null"] + ["null"]
    if field.get("format") == "date-time":
        names[0] = "time"
    return " or ".join(dict.fromkeys(names))
