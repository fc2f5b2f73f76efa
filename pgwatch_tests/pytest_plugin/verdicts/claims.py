"""Claims: who has committed which transactions where, in the journals of all workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.pytest_plugin.journal import Journal
from pgwatch_tests.pytest_plugin.reports.finding_journal import owner_of, owner_record
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.connections.writes import Verb, Written
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.http.server_journal import SERVER_WORD


@dataclass(frozen=True, slots=True)
class Claim:
    """A commit as a journal has it. `at_us` is when it was noted, µs since 1970, by the worker's clock."""

    owner: Owner | None
    worker_file: str
    database: ServedDatabase
    at_us: int
    xid: int | None
    unknown: str | None
    written: frozenset[Written] | None
    is_late: bool
    has_savepoints: bool

    @property
    def is_of_server(self) -> bool:
        """Whether a server under test has committed it, in a process of its own."""
        return SERVER_WORD in self.worker_file


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows of a table that a worker's verdict was about, by the lower 32 bits of their transactions' ids.

    `told` are those that a finding, or silence for a good reason, is about; `of_others` were there then, of
    transactions that aren't known to be the owner's: they may be if some of its ids aren't known.
    """

    owner: Owner | None
    database: ServedDatabase
    table: str
    told: frozenset[int]
    of_others: frozenset[int]


class ClaimJournal:
    """Notes commits as they come, and verdicts, in a process's journal; for any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owners: dict[int, None] = {}
        self._databases: dict[ServedDatabase, int] = {}

    def commit(self, commit: Commit) -> None:
        """Notes a commit. Raises OSError."""
        self._journal.note(
            "commit",
            {
                "of": self._owner(commit.owner),
                "in": self._database(commit.database),
                "at": real_time_ns() // 1000,
                "xid": commit.xid,
                "unknown": commit.unknown,
                "written": None if commit.written is None else [list(one) for one in commit.written],
                "late": commit.is_late,
                "nested": commit.has_savepoints,
            },
        )

    def judged(
        self,
        owner: Owner | None,
        database: ServedDatabase,
        table: str,
        told: Iterable[int],
        of_others: Iterable[int],
    ) -> None:
        """Notes what a verdict was about. Raises OSError."""
        self._journal.note(
            "judged",
            {
                "of": self._owner(owner),
                "in": self._database(database),
                "table": table,
                "told": sorted(told),
                "others": sorted(of_others),
            },
        )

    def _owner(self, owner: Owner | None) -> int | None:
        if owner is None:
            return None
        if owner.number not in self._owners:
            self._owners[owner.number] = None
            self._journal.note("owner", {"number": owner.number, "owner": owner_record(owner)})
        return owner.number

    def _database(self, database: ServedDatabase) -> int:
        number = self._databases.get(database)
        if number is None:
            number = self._databases[database] = len(self._databases)
            place = [database.host, database.port, database.name]
            self._journal.note("database", {"number": number, "place": place})
        return number


@dataclass(slots=True)
class Claims:
    """All claims of a session."""

    claims: list[Claim] = field(default_factory=list)
    judged: list[JudgedRows] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[tuple[str, Mapping[str, object]]]) -> Claims:
        """Returns the claims among journals' records; those that make no sense are left out."""
        claims = cls()
        owners: dict[tuple[str, object], Owner | None] = {}
        databases: dict[tuple[str, object], ServedDatabase] = {}
        for file, record in records:
            try:
                match record.get("is"):
                    case "owner":
                        owners[file, record["number"]] = owner_of(record["owner"])
                    case "database":
                        host, port, name = cast(Sequence[object], record["place"])
                        databases[file, record["number"]] = ServedDatabase(str(host), str(port), str(name))
                    case "commit":
                        claims.claims.append(
                            _claim(
                                file, record, owners.get((file, record["of"])), databases[file, record["in"]]
                            )
                        )
                    case "judged":
                        claims.judged.append(
                            JudgedRows(
                                owners.get((file, record["of"])),
                                databases[file, record["in"]],
                                str(record["table"]),
                                _numbers(record["told"]),
                                _numbers(record["others"]),
                            )
                        )
            except (ValueError, KeyError, TypeError):
                continue
        return claims

    def with_one_name(self, same: Mapping[ServedDatabase, ServedDatabase]) -> Claims:
        """Returns the claims with databases called as `same` says: one may be reached in several ways."""
        return Claims(
            [replace(one, database=same.get(one.database, one.database)) for one in self.claims],
            [replace(one, database=same.get(one.database, one.database)) for one in self.judged],
        )

    @property
    def databases(self) -> list[ServedDatabase]:
        """The databases that something was committed in, in the order of the first commit."""
        return list(dict.fromkeys(one.database for one in self.claims))


def _claim(file: str, record: Mapping[str, object], owner: Owner | None, database: ServedDatabase) -> Claim:
    written = record["written"]
    return Claim(
        owner,
        file,
        database,
        _int(record["at"]) or 0,
        _int(record["xid"]),
        None if record["unknown"] is None else str(record["unknown"]),
        frozenset(Written(cast(Verb, str(verb)), str(table)) for verb, table in written)
        if isinstance(written, list)
        else None,
        bool(record["late"]),
        bool(record["nested"]),
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _numbers(value: object) -> frozenset[int]:
    return frozenset(value) if isinstance(value, list) else frozenset()
