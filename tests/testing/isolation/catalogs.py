"""What is in a schema, for comparison with another one, and a MetaData with a bit of everything."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def zoo() -> MetaData:
    """Tables that refer to each other in a ring, types, indexes, defaults, percent signs, comments."""
    metadata = MetaData()
    kind = Enum("parent", "clerk", name="kind")
    Table(
        "users",
        metadata,
        Column("id", Integer, Identity(), primary_key=True),
        Column("email", String(80), nullable=False, unique=True),
        Column("kind", kind, nullable=False, server_default="parent"),
        Column("favourite", ForeignKey("bookings.id", use_alter=True, name="users_favourite")),
        CheckConstraint("email LIKE '%@%'", name="email_has_at"),
        Index("users_lower", func.lower(text("email")), unique=True),
        comment="100 % users",
    )
    Table(
        "bookings",
        metadata,
        Column("id", Integer, Sequence("booking_numbers"), primary_key=True),
        Column("user", ForeignKey("users.id", ondelete="RESTRICT"), nullable=False, index=True),
        Column("of", kind),
        Column("price", Numeric(8, 2), server_default=text("0")),
        Column("gross", Numeric, Computed("price * 1.2", persisted=True)),
        Column("tags", ARRAY(String)),
        Column("more", JSONB, server_default=text("'{}'::jsonb")),
        Column("at", DateTime(timezone=True), server_default=func.now()),
    )
    return metadata


def described(connection: Connection[TupleRow], schema: str) -> list[str]:
    """All columns, constraints, indexes, types and comments of a schema, its name left out."""
    connection.execute("SELECT set_config('search_path', %s, false)", [schema])
    queries = (
        "SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
        " a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
        " WHERE c.relnamespace = %s::text::regnamespace",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = %s::text::regnamespace",
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relnamespace = %s::text::regnamespace",
        "SELECT typname, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid"
        " WHERE typnamespace = %s::text::regnamespace",
        "SELECT relname, obj_description(oid) FROM pg_class WHERE relnamespace = %s::text::regnamespace",
    )
    rows = [str(row) for query in queries for row in connection.execute(query, [schema])]
    return sorted(row.replace(schema, "…") for row in rows)
