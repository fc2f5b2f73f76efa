"""Which calls write rows, and which remove them: SQL in strings, and the calls of common libraries.

Python: Django, SQLAlchemy, psycopg, asyncpg. TypeScript: Drizzle, Prisma, Knex, Kysely, TypeORM, Sequelize,
pg, postgres.js.
"""

from __future__ import annotations

import re

from pgwatch_tests.lint.sql_calls import EXECUTORS, Removal, Write, sql_removal, sql_write, table_name
from pgwatch_tests.lint.syntax.source import Call, Source
from pgwatch_tests.lint.syntax.values import (
    Invocation,
    Items,
    Lambda,
    Mapping,
    Name,
    Text,
    Value,
    columns,
)

_WRITING = EXECUTORS | {
    *("values", "create", "createMany", "createManyAndReturn", "insert", "save", "bulkCreate"),
    *("acreate", "create_user", "create_superuser", "bulk_create", "add", "add_all"),
}
_REMOVING = EXECUTORS | {
    *(
        "deleteMany",
        "delete",
        "deleteFrom",
        "del",
        "truncate",
        "clear",
        "remove",
        "softDelete",
        "dropDatabase",
    ),
    *("synchronize", "sync", "destroy", "drop_all", "adelete"),
}
WRITING_WORDS = (
    *(".insert", "insert(", "insert into", ".create(", ".createmany", "create_user(", "create_superuser("),
    *("bulk_create(", ".acreate(", ".bulkcreate(", ".save(", ".add(", "add_all("),
)
"""One of these, in lower case, is in each file that writes rows."""
_UPSERTS = frozenset(("onConflictDoNothing", "onConflictDoUpdate", "onConflict", "orIgnore", "ignore"))
_REPOSITORY = re.compile(r"(\w*?)_?(?:repo|repository|manager)(?:sitory)?$", re.I)
_ORM = re.compile(r"sequelize|objection|typeorm|mikro-orm|adonisjs", re.I)
_MAKES_TABLES = re.compile(r"create\s+(?:\w+\s+)?table\b|createTable", re.I)
_MODELS = re.compile(
    r"declarative_base\(|\(DeclarativeBase\)|def (?:define_tables|setup_classes)|metadata\.create_all\("
    r"|\.sync\(\s*\{\s*force|createPGTables\("
)
"""A file that makes models or all tables by itself tests a library, or has tables of its own."""
_TEMPORARY = re.compile(r"\btemp(?:orary)?\s+table\b", re.I)
_DRIZZLE = re.compile("drizzle|schema")
_SYNCHRONIZE = re.compile(r"synchronize\(true")
_DATABASE_NAME = re.compile(
    r"(?:^|\.)\w*(?:db|database|drizzle|prisma|knex|tx|trx|orm|conn(?!e)|connection(?!s)|sql|pool|client)\w*$",
    re.I,
)
_NARROWING = re.compile(r"where|find(?:One|By)|\.first\b", re.I)
_NO_TABLE = re.compile(r"(?:\w*(?:Id|_id|Key|Name)|id|key|name)$")
_RUNNERS = frozenset(
    (
        *("all", "allSettled", "race", "push", "transaction", "$transaction", "batch", "then", "resolve"),
        *("execute", "run", "query", "rejects", "expect", "raises", "step"),
    )
)
"""Calls that a statement among their arguments is sent by, or awaited in."""
_COMPILES = re.compile(r"assert_compile|\.compile\(")
"""A file that looks at the SQL of statements, and sends none."""
_COMPARING = frozenset(("assert_compile", "compile", "expectError", "toSQL"))
_MADE_ONLY = frozenset(
    ("build", "toSQL", "toString", "toQuery", "compile", "toSql", "comment", "$if", "asserts")
)
_ADDED = re.compile(r"(?:^|\.)\w*(?:session|db|sess|s)$", re.I)


def write_of(source: Source, call: Call) -> Write | None:
    """The rows that a call inserts, None if it inserts none. Upserts are none: they meet what is there."""
    if call.method not in _WRITING or not _UPSERTS.isdisjoint(call.later_methods()):
        return None
    if _end(call).is_stored or (call.outer is not None and call.outer.method in _COMPARING):
        return None  # a statement that is made and, as far as one sees, not sent
    written = _python_write(source, call) if source.language == "python" else _typescript_write(source, call)
    written = written or sql_write(call)
    return None if written is None or _makes_table(source, written.table) else written


def _end(call: Call) -> Call:
    """The last call of a chain."""
    while call.continued is not None:
        call = call.continued
    return call


def removal_of(source: Source, call: Call) -> Removal | None:
    """The rows that a call removes, None if it removes none."""
    if call.method not in _REMOVING:
        return None
    removed = (
        _python_removal(source, call) if source.language == "python" else _typescript_removal(source, call)
    )
    removed = removed or sql_removal(call)
    return None if removed is None or _is_temporary(source, removed.table) else removed


def _makes_table(source: Source, table: str) -> bool:
    """Whether a file makes the table that it writes into: that is the tests' own, or the model's in test."""
    if source.holds(_MODELS):
        return True
    if not table or not source.holds(_MAKES_TABLES):
        return False
    name = re.escape(table.strip('"'))
    made = re.compile(
        rf"create\s+(?:unlogged\s+|temp(?:orary)?\s+)?table\s+(?:if\s+not\s+exists\s+)?(?:[\w\"]+\.)?\"?{name}\b"
        rf"|createTable(?:IfNotExists)?\(\s*['\"]{name}['\"]",
        re.I,
    )
    return source.holds(made)


def _is_temporary(source: Source, table: str) -> bool:
    """Whether a file makes a temporary table of that name: nobody else sees its rows."""
    if not table or not source.holds(_TEMPORARY):
        return False
    return (
        re.search(
            rf"\btemp(?:orary)?\s+table\s+(?:if\s+not\s+exists\s+)?\"?{re.escape(table)}\b", source.text, re.I
        )
        is not None
    )


def _typescript_write(source: Source, call: Call) -> Write | None:
    method, receiver, arguments = call.method, call.receiver, call.arguments
    if method == "values" and receiver is not None and receiver.method in ("insert", "insertInto"):
        return Write(_table(receiver.arguments), tuple(columns(_rows(source, call))))
    if method in ("create", "createMany", "createManyAndReturn") and arguments:
        first = arguments[0]
        if (
            isinstance(first, Mapping)
            and (data := first.get("data")) is not None
            and call.name.count(".") > 1
        ):
            rows = source.resolved(data, call.scope)
            return Write(call.target.rpartition(".")[2], tuple(columns((rows,))))
    if method == "insert" and receiver is not None and isinstance(next(iter(receiver.arguments), None), Text):
        return Write(_table(receiver.arguments), tuple(columns(_rows(source, call))))
    owner = call.target.rpartition(".")[2]
    if method in ("save", "insert") and arguments and (match := _REPOSITORY.match(owner)):
        return Write(match[1] or _table(arguments), tuple(columns(_rows(source, call))))
    is_unit = re.search(r"(?:^|/)units?/", source.path) is not None  # with a stub below the models
    is_model = (
        not is_unit and method in ("create", "bulkCreate") and owner[:1].isupper() and source.holds(_ORM)
    )
    if is_model and arguments and isinstance(arguments[0], Mapping | Items):
        return Write(owner, tuple(columns(arguments[:1])))
    return None


def _python_write(source: Source, call: Call) -> Write | None:
    method, arguments = call.method, call.arguments
    target = call.target
    if target.endswith("objects") and method in (
        "create",
        "acreate",
        "create_user",
        "create_superuser",
        "bulk_create",
    ):
        return Write(target.split(".")[-2] if "." in target else target, tuple(columns(arguments)))
    if method in ("add", "add_all") and arguments and _ADDED.search(target):
        row = source.resolved(arguments[0], call.scope)
        rows = row.values if isinstance(row, Items) else (row,)
        known = [one for each in rows if isinstance(one := source.resolved(each, call.scope), Invocation)]
        if known and known[0].name.rpartition(".")[2][:1].isupper():
            return Write(known[0].name.rpartition(".")[2], tuple(columns(tuple(known))))
    is_core = method == "values" and call.receiver is not None and call.receiver.method == "insert"
    if is_core and call.receiver is not None and not source.holds(_COMPILES):
        return Write(_table(call.receiver.arguments) or call.receiver.target, tuple(columns(arguments)))
    return None


def _typescript_removal(source: Source, call: Call) -> Removal | None:
    method, receiver, arguments, owner = call.method, call.receiver, call.arguments, call.target
    later = call.later_methods()
    narrowed = any(
        one.lower().endswith("where") or one.startswith(("where", "andWhere", "limit")) for one in later
    )
    first = arguments[0] if arguments else None
    # A store of the front end's state has such methods, too.
    if method == "deleteMany" and owner.count(".") and not owner.endswith(".getState"):
        empty = (
            first is None
            or _is_empty(first)
            or (
                isinstance(first, Mapping)
                and _is_empty(first.get("where"))
                and "where" in [one.key for one in first.pairs]
            )
        )
        return Removal(owner.rpartition(".")[2], empty, "deleteMany without where")
    if (
        method in ("delete", "deleteFrom")
        and receiver is None
        and (isinstance(first, Name) if method == "delete" else isinstance(first, Name | Text))
        and len(arguments) == 1
        and not _NO_TABLE.match(getattr(first, "text", ""))
        and _is_sent(call)
    ) and (
        method == "deleteFrom"
        or (
            _DATABASE_NAME.search(owner)
            and "." not in getattr(first, "text", ".").replace("schema.", "")
            and ("where" in later or (source.language == "typescript" and source.holds(_DRIZZLE)))
        )
    ):
        return Removal(_table(arguments), not narrowed, f"{method} without where")
    if (
        method in ("del", "delete", "truncate")
        and receiver is not None
        and not arguments
        and isinstance(next(iter(receiver.arguments), None), Text)
    ):
        if receiver.method == "$relatedQuery" or not _is_sent(call):
            return None
        is_narrowed = narrowed or _NARROWING.search(call.name) is not None
        return Removal(_table(receiver.arguments), not is_narrowed, f"{method}() without where")
    if (
        method == "delete"
        and isinstance(first, Mapping)
        and first.get("where") is not None
        and owner.count(".")
    ):
        return Removal(owner.rpartition(".")[2], False, "delete")
    repository = _REPOSITORY.match(owner.rpartition(".")[2])
    if method == "clear" and repository and not arguments and receiver is None:
        return Removal(repository[1], True, "clear()")
    if method in ("delete", "remove", "softDelete") and repository and arguments:
        return Removal(repository[1], _is_empty(first), f"{method}({{}})")
    if (method == "dropDatabase" and not arguments) or (
        method == "synchronize" and source.holds(_SYNCHRONIZE)
    ):
        return Removal("", True, call.name)
    if method == "sync" and isinstance(first, Mapping) and first.get("force") is not None:
        model = owner.rpartition(".")[2]
        return Removal(model if model[:1].isupper() else "", True, f"{call.name}({{ force }})")
    if method == "destroy" and isinstance(first, Mapping) and owner.rpartition(".")[2][:1].isupper():
        where = first.get("where")
        return Removal(
            owner.rpartition(".")[2],
            _is_empty(where) or (where is None and first.get("truncate") is not None),
            "destroy without where",
        )
    return None


def _is_sent(call: Call) -> bool:
    """Whether a statement that is built goes to a database: isn't compiled, or compared."""
    if not _MADE_ONLY.isdisjoint(call.later_methods()) or re.match(r"(?:qb|builder|\w*Builder)\b", call.name):
        return False
    end = _end(call)
    return not end.is_stored and (
        end.outer is None or end.outer.scope is not end.scope or end.outer.method in _RUNNERS
    )


def _python_removal(source: Source, call: Call) -> Removal | None:
    method, name, arguments = call.method, call.name, call.arguments
    if method == "drop_all" and "metadata" in name:
        return Removal("", True, "drop_all")
    if method in ("delete", "adelete") and ".objects." in f"{name}.":
        chain = name.split(".")
        narrowed = {"filter", "exclude", "get", "first", "last"} & set(chain)
        return Removal(
            chain[chain.index("objects") - 1], not narrowed and "all" in chain, "objects.all().delete()"
        )
    if method == "delete" and call.receiver is not None and call.receiver.method == "query":
        return Removal(_table(call.receiver.arguments), True, "query(…).delete() without filter")
    if method == "delete" and call.receiver is not None and ".query." in name:
        return Removal("", False, "delete")
    if method == "delete" and len(arguments) == 1 and isinstance(arguments[0], Name):
        is_model = arguments[0].text.rpartition(".")[2][:1].isupper()
        if call.target in ("", "sa", "sqlalchemy", "sqlmodel") and is_model:
            narrowed_later = bool({"where", "filter", "filter_by"} & set(call.later_methods()))
            # A statement in a variable may be narrowed in a later line.
            return Removal(
                arguments[0].text, not narrowed_later, f"delete({arguments[0].text}) without where"
            )
        if _ADDED.search(call.target) and not is_model:
            return Removal(arguments[0].text, False, "delete")
    return None


def _rows(source: Source, call: Call) -> tuple[Value, ...]:
    rows: list[Value] = []
    for argument in call.arguments:
        value = source.resolved(argument, call.scope)
        rows += (
            [source.resolved(one, call.scope) for one in value.values]
            if isinstance(value, Items)
            else [value]
        )
    return tuple(one.result if isinstance(one, Lambda) else one for one in rows)


def _table(arguments: tuple[Value, ...]) -> str:
    first = arguments[0] if arguments else None
    return table_name(first.text) if isinstance(first, Name | Text) else ""


def _is_empty(value: Value | None) -> bool:
    return isinstance(value, Mapping) and not value.pairs
