"""Conversations: what a batch does, by its messages alone, and its result."""

from __future__ import annotations

import struct

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.proxy.conversation import Batch, Conversation
from pgwatch_tests.testing.interleaving.proxy.statements import literal, named_level, split, with_values
from pgwatch_tests.testing.interleaving.proxy.wire import Message, error_response, message, query

INT8, TEXT, BOOL, TIMESTAMPTZ = 20, 25, 16, 1184


def sent(type_: bytes, *parts: bytes) -> Message:
    return Message(type_, message(type_, b"".join(parts)))


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def int16s(*values: int) -> bytes:
    return struct.pack(f"!{len(values) + 1}h", len(values), *values)


def parse(statement: str, name: str = "") -> Message:
    return sent(b"P", text(name), text(statement), int16s())


def bind(*values: bytes | None, name: str = "", formats: tuple[int, ...] = (1,)) -> Message:
    given_ = b"".join(struct.pack("!i", -1 if one is None else len(one)) + (one or b"") for one in values)
    return sent(
        b"B", text(""), text(name), int16s(*formats), struct.pack("!h", len(values)), given_, int16s(1)
    )


EXECUTE = sent(b"E", text(""), struct.pack("!i", 0))
SYNC, FLUSH = sent(b"S"), sent(b"H")


def describe(name: str = "") -> Message:
    return sent(b"D", b"S", text(name))


def conversation(status: bytes = b"I") -> Conversation:
    made = Conversation()
    made.received(sent(b"Z", status))
    made.begin()
    return made


def simple(statement: str, status: bytes = b"I") -> Batch:
    return conversation(status).read([Message(b"Q", query(statement))])


@pytest.mark.parametrize(
    ("statement", "status", "kind", "shown"),
    [
        ("SELECT 2", b"I", "statement", "SELECT 2"),
        ("BEGIN; UPDATE t SET a = 1;", b"I", "statement", "UPDATE t SET a = 1"),
        ("BEGIN", b"I", None, ""),
        ("", b"I", None, ""),
        ("UPDATE t SET a = 1;\n", b"T", "statement", "UPDATE t SET a = 1"),
        ("COMMIT", b"T", "commit", "COMMIT"),
        ("COMMIT;", b"I", None, ""),
        ("COMMIT", b"E", None, ""),
        ("SELECT 2", b"E", None, ""),
        ("ROLLBACK; BEGIN; DELETE FROM t", b"E", "statement", "DELETE FROM t"),
        ("INSERT INTO t VALUES (';'); COMMIT", b"T", "statement", "INSERT INTO t VALUES (';'); COMMIT"),
        # The name of a test ahead of its transaction, and the transaction's id ahead of its end.
        ("BEGIN; SET application_name = 'x'; COMMIT; BEGIN", b"I", None, ""),
        ("SELECT pg_catalog.pg_current_xact_id_if_assigned(); COMMIT", b"T", "commit", "COMMIT"),
        ("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;", b"I", None, ""),
        ("/* why */ SELECT current_setting('jit') AS cur", b"I", None, ""),
        ("SAVEPOINT a", b"T", None, ""),
        ("COPY t FROM STDIN", b"T", "statement", "COPY t FROM STDIN"),
    ],
)
def test_a_simple_query(statement: str, status: bytes, kind: str | None, shown: str) -> None:
    batch = simple(statement, status)
    assert (batch.kind, batch.text, batch.is_executing) == (kind, shown, True)


def test_what_rolls_back() -> None:
    assert simple("ROLLBACK", b"T").rolls_back
    assert simple("ROLLBACK TO SAVEPOINT a", b"T").rolls_back
    assert simple("COMMIT", b"E").rolls_back
    assert not simple("COMMIT", b"T").rolls_back


def test_a_pool_that_frees_keys_makes_a_step() -> None:
    talk = conversation()
    reset = [Message(b"Q", query("SELECT pg_advisory_unlock_all(); RESET ALL"))]
    assert talk.read(reset).kind is None
    talk.read([Message(b"Q", query("SELECT pg_advisory_lock(1)"))])
    assert talk.read(reset).text == "SELECT pg_advisory_unlock_all()"
    assert talk.read(reset).kind is None


def test_a_prepared_statement_with_its_values_and_result() -> None:
    talk = conversation(b"T")
    prepared = talk.read(
        [parse("SELECT a FROM t WHERE b = $1 AND c = $2 AND d = '$3'", "s"), describe("s"), FLUSH]
    )
    assert (prepared.kind, prepared.is_executing, prepared.is_synced) == (None, False, False)
    talk.received(sent(b"t", struct.pack("!hII", 2, INT8, TEXT)))
    talk.received(sent(b"T", struct.pack("!h", 1), text("a"), struct.pack("!IhIhih", 0, 0, INT8, 8, -1, 0)))

    batch = talk.read([bind(struct.pack("!q", 7), b"it's", name="s"), EXECUTE, SYNC])
    assert batch.text == "SELECT a FROM t WHERE b = 7 AND c = 'it''s' AND d = '$3'"
    assert batch.is_synced
    talk.received(sent(b"D", struct.pack("!hiq", 1, 8, 42)))
    talk.received(sent(b"C", text("SELECT 1")))
    assert talk.result() == "→ 42"
    talk.begin()
    assert talk.result() == "0 rows"


def test_what_is_prepared_first_in_a_transaction_is_a_step() -> None:
    batch = conversation(b"T").read([parse("SELECT 2", "s"), SYNC], begins=True)
    assert (batch.kind, batch.text, batch.is_executing) == ("statement", "SELECT 2", False)
    own = "WITH RECURSIVE typeinfo_tree(oid) AS (SELECT 2) SELECT * FROM typeinfo_tree"
    assert conversation(b"T").read([parse(own), SYNC], begins=True).kind is None


def test_many_values_and_a_pipeline_are_one_step() -> None:
    talk = conversation(b"T")
    insert, update = "INSERT INTO t VALUES ($1)", "UPDATE t SET a = 1"
    many = talk.read(
        [parse(insert), bind(b"x", formats=(0,)), EXECUTE, bind(b"y", formats=(0,)), EXECUTE, SYNC]
    )
    assert many.text == "INSERT INTO t VALUES ('x') /* × 2 */"
    both = talk.read(
        [
            parse("BEGIN"),
            bind(),
            EXECUTE,
            parse(update),
            bind(),
            EXECUTE,
            parse("COMMIT"),
            bind(),
            EXECUTE,
            SYNC,
        ]
    )
    assert both.text == "UPDATE t SET a = 1; COMMIT"


def test_an_error_has_the_class_of_its_sqlstate() -> None:
    talk = conversation(b"T")
    talk.received(Message(b"E", error_response("ERROR", "23505", "duplicate key", "Key (a)=(1)")))
    error = talk.error()
    assert isinstance(error, psycopg.errors.UniqueViolation)
    assert error.sqlstate == "23505"
    talk.received(Message(b"E", error_response("ERROR", "ZZ999", "of an extension")))
    assert type(talk.error()) is psycopg.DatabaseError
    talk.fail_transaction()
    assert talk.status == TransactionStatus.INERROR


def test_what_the_server_tells_of_the_session() -> None:
    talk = conversation()
    talk.received(sent(b"K", struct.pack("!ii", 4711, 1)))
    talk.received(sent(b"S", text("application_name"), text("interleave B")))
    assert (talk.pid, talk.parameters) == (4711, {"application_name": "interleave B"})
    talk.received(sent(b"G", b"\0\0\0"))
    talk.received(sent(b"C", text("COPY 3")))
    assert (talk.has_copied, talk.result()) == (True, "3 rows")
    talk.received(sent(b"Z", b"I"))
    assert not talk.has_copied


@given(
    st.lists(
        st.tuples(st.sampled_from([bytes([one]) for one in b"QPBDESHCFKZtTnCEGW?"]), st.binary(max_size=40))
    )
)
def test_any_message_goes_through(messages: list[tuple[bytes, bytes]]) -> None:
    talk = conversation()
    made = [sent(*one) for one in messages]
    batch = talk.read([*made, SYNC], begins=True)
    assert batch.raw == b"".join(one.raw for one in (*made, SYNC))
    for one in made:
        talk.received(one)
    talk.result()
    talk.error()


@given(
    st.binary(max_size=30),
    st.sampled_from([0, 1]),
    st.sampled_from([0, 16, 17, 20, 25, 700, 1184, 1700, 2950, 3802, 99999]),
)
def test_a_value_is_read_or_left_out(value: bytes, format_: int, oid: int) -> None:
    written = literal((value, format_, oid))
    assert isinstance(written, str)
    assert with_values("SELECT $1, $2", [(value, format_, oid)]) in (f"SELECT {written}, $2", "SELECT $1, $2")


def test_values_as_they_are_written() -> None:
    assert literal((None, 1, INT8)) == "NULL"
    assert literal((b"t", 0, BOOL)) == "true"
    assert literal((b"-7", 0, INT8)) == "-7"
    assert literal((b"7'; DROP TABLE t", 0, INT8)) == "'7''; DROP TABLE t'"
    assert literal((struct.pack("!q", 0), 1, TIMESTAMPTZ)).startswith("'2000-01-01")
    assert literal((b"\x01\x02\x03", 1, 99999)) == literal((b"\0", 0, TEXT)) == ""


def test_statements_are_told_apart_outside_of_strings_alone() -> None:
    assert split("SELECT ';'; ; /* ; */ SELECT $$;$$;") == ("SELECT ';'", "/* ; */ SELECT $$;$$")
    assert named_level("BEGIN ISOLATION LEVEL Repeatable  READ") == "repeatable read"
    assert named_level("SELECT 'isolation level serializable'") is None
