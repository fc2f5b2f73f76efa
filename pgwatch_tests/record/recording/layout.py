"""Layout of a recording: an SQLite file with segments of polls, and a row per event.

| table | a row per |
|---|---|
| `recording` | recording: header, watched seconds, whether it ended by itself |
| `servers` | server, from one of its starts to the next |
| `segments`, `parts` | minute of polls or so, and few seconds of it (`segments.py`) |
| `waits`, `deadlocks`, `tests`, `marks`, `leaks` | event: columns to look for, and all of it in `detail` |
| `leak_report` | check after the suite, whole |

Times are whole microseconds since 1970. `detail` is a value of `record.model` as JSON (`values.py`),
deflated. The file says what it is in SQLite's own header: application id and, as user version, the version of
the layout. It is readable by its owner alone, for statements are somebody's.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    StaticPool,
    Table,
    Text,
    create_engine,
    event,
    select,
)
from sqlalchemy.exc import DBAPIError

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.foreign_files import open_file
from pgwatch_tests.record.recording.segments import Part

LAYOUT: Final = 2
"""The version that this program writes. It reads this one and all before it: 1 has groups in full."""
APPLICATION_ID: Final = 0x70677772  # 'pgwr'

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_PATIENCE_S: Final = 5.0
BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite adds to the name of a recording, for its files beside it."""

metadata = MetaData()
recording = Table(
    "recording",
    metadata,
    Column("header", LargeBinary, nullable=False),
    Column("dictionary", LargeBinary, nullable=False),  # of the details
    Column("polls", Integer, nullable=False),
    Column("watched_s", Float, nullable=False),
    Column("unwatched_s", Float, nullable=False),
    Column("is_whole", Boolean, nullable=False),
)
servers = Table(
    "servers",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("detail", LargeBinary, nullable=False),
)
segments = Table(
    "segments",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("began_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("thinned", Integer, nullable=False),  # how often every second of its polls has been left out
)
parts = Table(
    "parts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("segment", Integer, nullable=False, index=True),
    Column("checksum", BigInteger, nullable=False),  # CRC-32 of the body
    Column("times", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
waits = Table(
    "waits",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("began_us", BigInteger, nullable=False, index=True),
    Column("ended_us", BigInteger),
    Column("waited_s", Float, nullable=False),
    Column("detail", LargeBinary, nullable=False),
)
deadlocks = Table(
    "deadlocks",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("detail", LargeBinary, nullable=False),
)
tests = Table(
    "tests",
    metadata,
    Column("server", Integer, primary_key=True),
    Column("runner", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("test", Text, primary_key=True),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("active_us", BigInteger),
    Column("polls", Integer, nullable=False),
    sqlite_with_rowid=False,
)
marks = Table(
    "marks",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)
leaks = Table(
    "leaks",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("detail", LargeBinary, nullable=False),
)
leak_report = Table("leak_report", metadata, Column("detail", LargeBinary, nullable=False))


def create(path: Path) -> Engine:
    """Makes the file with its tables, readable by its owner alone. Raises RecordingError, FileExistsError."""
    with told(path, "written"):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        for beside in BESIDE:
            # Of a recorder that was killed, and whose file was removed: SQLite would take it for this file's.
            Path(f"{path}{beside}").unlink(missing_ok=True)
        engine = _engine(_uri(path, "rw"))
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {LAYOUT}")
            # A look for tables would leave statements open, and no checkpoint passes these.
            metadata.create_all(connection, checkfirst=False)
        # Readers don't wait then, nor does the writer. A file system that can't do it keeps its own way.
        _pragma(engine, "journal_mode = WAL")
        # No loss when the process is killed, little when the machine is; never a damaged file.
        _pragma(engine, "synchronous = NORMAL")
        _pragma(engine, "wal_autocheckpoint = 0")
        move_into_file(engine)
        return engine


def move_into_file(engine: Engine) -> None:
    """Has the file itself hold all that was committed, for those who copy it alone, if nobody reads."""
    _pragma(engine, "wal_checkpoint(PASSIVE)")


def make_one_file(engine: Engine) -> None:
    """Leaves the recording as one file. Raises sqlite3.Error if somebody reads it."""
    _pragma(engine, "journal_mode = DELETE")


def size(connection: Connection) -> int:
    """The bytes of the file that are in use."""
    pages, free, bytes_each = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * bytes_each


def open_to_read(path: Path) -> Engine:
    """Opens a recording, and changes nothing in it. Raises RecordingError."""
    _check_header(path)
    engine = _engine(_uri(path, "ro"))
    with told(path, "read"):
        try:
            _check_readable(engine)
        except DBAPIError as error:
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            # It was never ended, and nothing can be written beside it.
            engine = _open_copy(path)
    return engine


def _open_copy(path: Path) -> Engine:
    """Opens a copy of a recording, with what lies beside it, that is gone once it is closed."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, path.name)
        for beside in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{beside}", f"{copy}{beside}")
        engine = _engine(_uri(copy, "rw"))
        try:
            make_one_file(engine)
        finally:
            engine.dispose()
        # What is open stays open.
        engine = _engine(f"{_uri(copy, 'ro')}&immutable=1")
        _check_readable(engine)
    return engine


@contextmanager
def told(path: Path, verb: str) -> Iterator[None]:
    """Turns errors into a RecordingError of one line."""
    try:
        yield
    except FileExistsError:
        raise
    except (DBAPIError, sqlite3.Error) as error:
        if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path) from None
        words = str(error.orig if isinstance(error, DBAPIError) else error)
        raise RecordingError(f"the recording {path} can't be {verb}: {words}") from None
    except UnicodeDecodeError:
        # SQLite quotes what it finds damaged in its own tables, whatever bytes these are.
        raise damaged(path) from None
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise RecordingError(f"the recording {path} can't be {verb}: {words}") from None


def damaged(path: Path) -> RecordingError:
    """The error of a recording whose content can't be right."""
    return RecordingError(f"the recording {path} is damaged, or a part of it is missing")


def is_recording(path: Path) -> bool:
    """Whether a file says that it is a recording, damaged or of a newer layout as it may be."""
    try:
        with open_file(path) as file:
            head = file.read(_HEADER_BYTES)
    except OSError:
        return False
    return head.startswith(_MAGIC) and _number(head, 68) == APPLICATION_ID


def part_row(segment: int, part: Part) -> dict[str, object]:
    """The row of a part."""
    checksum = zlib.crc32(part.times + part.body)
    return {"segment": segment, "checksum": checksum, "times": part.times, "body": part.body}


def read_parts(connection: Connection, segment: int) -> list[Part]:
    """Returns the parts of a segment in order. Raises ValueError if one of them is damaged."""
    columns = parts.c
    rows = connection.execute(
        select(columns.times, columns.body, columns.checksum)
        .where(columns.segment == segment)
        .order_by(columns.number)
    ).all()
    if any(zlib.crc32(times + body) != checksum for times, body, checksum in rows):
        raise ValueError("a part is damaged")
    return [Part(times, body) for times, body, _ in rows]


def _check_header(path: Path) -> None:
    """Looks at SQLite's header (https://www.sqlite.org/fileformat2.html). Raises RecordingError."""
    with told(path, "read"), open_file(path) as file:
        head = file.read(_HEADER_BYTES)
        length = os.fstat(file.fileno()).st_size
    if not head.startswith(_MAGIC[: len(head)]) or not head:
        raise RecordingError(f"{path} isn't a recording of pgwatch-tests")
    if len(head) < _HEADER_BYTES:
        raise damaged(path)
    if _number(head, 68) != APPLICATION_ID:
        raise RecordingError(f"{path} isn't a recording of pgwatch-tests")
    layout = _number(head, 60)
    if layout > LAYOUT:
        raise RecordingError(
            f"the recording {path} has layout {layout}, and this version of pgwatch-tests reads layouts up "
            f"to {LAYOUT}: use a newer version"
        )
    if layout < 1:
        raise damaged(path)
    page_bytes = int.from_bytes(head[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    is_being_written = Path(f"{path}-wal").exists()
    if length < _number(head, 28) * page_bytes and not is_being_written:
        raise damaged(path)


def _number(head: bytes, start: int) -> int:
    return int.from_bytes(head[start : start + 4], "big")


def _check_readable(engine: Engine) -> None:
    """Reads from it, or closes it and raises DBAPIError or UnicodeDecodeError."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    except BaseException:
        engine.dispose()
        raise


def _uri(path: Path, mode: Literal["ro", "rw"]) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


def _engine(uri: str) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun here, not by the driver


def _pragma(engine: Engine, pragma: str) -> None:
    """Runs a pragma outside of any transaction."""
    connection = engine.raw_connection()
    try:
        assert connection.driver_connection is not None
        connection.driver_connection.execute(f"PRAGMA {pragma}").fetchall()
    finally:
        connection.close()


def _code(error: DBAPIError | sqlite3.Error) -> int:
    """SQLite's primary error code."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(cause, "sqlite_errorcode", 0)) & 0xFF
