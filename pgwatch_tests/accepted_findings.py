"""Accepted findings: a file of what a team knows, with which a gate fails on new ones only.

The file is the JSON document `pgwatch-tests.accepted/1`; people review and edit it:

    {"schema": "pgwatch-tests.accepted/1",
     "findings": [{"gate": "leaks", "kind": "rows", "place": "public.users",
                   "test": "tests/test_booking.py::test_books", "reason": "ticket 4711"}]}

A finding is known by gate, kind, place and test. `test` is null where nobody knows which test it was, and "*"
for any test. `reason` is for people and may be missing.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import read_text

GateName = Literal["leaks", "lint", "locks"]

SCHEMA = "pgwatch-tests.accepted/1"
ANY_TEST = "*"
"""The test of an entry that accepts whoever left it, and of a finding where nobody asked who did."""

_REQUIRED = ("gate", "kind", "place", "test")
_FIELDS = frozenset((*_REQUIRED, "reason"))
_WHAT_TO_WRITE = {"test": ': write null for an unknown one, or "*" for any'}
# What differs from run to run in a name: all from a stamp in milliseconds on, hashes and UUIDs.
_STAMPED = re.compile(r"1[0-9]{12}[0-9A-Za-z_-]*")
_RANDOM = re.compile(r"(?<![0-9A-Za-z])(?=[0-9a-f-]*[0-9])[0-9a-f]{8,}(?:-[0-9a-f]{4,})*(?![0-9A-Za-z])")
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A finding that an entry accepts. `test` is empty if nobody knows it, `*` if nobody was asked."""

    gate: GateName
    kind: str
    place: str
    test: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The findings of a file, each with its reason, which is empty where none is given."""

    reasons: Mapping[Finding, str] = field(default_factory=dict)

    def entry_for(self, finding: Finding) -> Finding | None:
        """The entry that accepts a finding: its own, or that of any test. None if it is new."""
        of_any = Finding(finding.gate, finding.kind, finding.place, ANY_TEST)
        return next((one for one in (finding, of_any) if one in self.reasons), None)

    def of(self, gate: GateName) -> list[Finding]:
        """A gate's entries, sorted."""
        return sorted(one for one in self.reasons if one.gate == gate)

    def with_findings_of(self, gate: GateName, findings: Iterable[Finding]) -> Acceptance:
        """A copy with just these findings of a gate; other gates' entries and all reasons stay."""
        kept = [one for one in self.reasons if one.gate != gate]
        return Acceptance({one: self.reasons.get(one, "") for one in sorted({*kept, *findings})})


def stable(name: str, *, numbers: bool = False) -> str:
    """A name with `*` for what differs from run to run: `test_*` for `test_1717171717171_4711_5e6f7a8b`.

    Stamps, hashes and UUIDs; with `numbers` every number as well, such as a pid.
    """
    shortened = _RANDOM.sub("*", _STAMPED.sub("*", name))
    return _NUMBER.sub("*", shortened) if numbers else shortened


def load(path: Path) -> Acceptance:
    """Reads a file. Raises ConfigurationError if it can't be read, is damaged, or is something else."""
    try:
        text = read_text(path)
    except OSError as error:
        raise ConfigurationError(f"cannot read the accepted findings in {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} holds no accepted findings: it isn't UTF-8") from None
    try:
        return Acceptance(_reasons(json.loads(text)))
    except (ValueError, RecursionError) as error:
        why = "it isn't JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)
        raise ConfigurationError(f"{path} holds no accepted findings: {why}") from None


def save(path: Path, acceptance: Acceptance) -> None:
    """Writes a file as a whole, sorted, so that differences read well. Raises ConfigurationError."""
    findings = [
        {
            "gate": one.gate,
            "kind": one.kind,
            "place": one.place,
            "test": one.test or None,
            **({"reason": acceptance.reasons[one]} if acceptance.reasons[one] else {}),
        }
        for one in sorted(acceptance.reasons)
    ]
    text = json.dumps({"schema": SCHEMA, "findings": findings}, indent=2) + "\n"
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(file.name).chmod(mode)
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _reasons(document: object) -> dict[Finding, str]:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"it isn't the document {SCHEMA}")
    unknown = sorted(set(document) - {"schema", "findings"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is neither schema nor findings")
    if "findings" not in document:
        raise ValueError("it has no findings: write [] for none")
    entries = document["findings"]
    if not isinstance(entries, list):
        raise ValueError("its findings aren't a list")
    reasons: dict[Finding, str] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            finding, reason = _entry(entry)
        except ValueError as error:
            raise ValueError(f"finding {number}: {error}") from None
        if finding in reasons:
            raise ValueError(f"finding {number} is there twice")
        reasons[finding] = reason
    return reasons


def _entry(entry: object) -> tuple[Finding, str]:
    if not isinstance(entry, dict):
        raise ValueError("it isn't an object")
    unknown = sorted(map(str, set(entry) - _FIELDS))
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    missing = next((name for name in _REQUIRED if name not in entry), None)
    if missing is not None:
        raise ValueError(f"it has no {missing}{_WHAT_TO_WRITE.get(missing, '')}")
    gate = next((one for one in _gates() if one == entry.get("gate")), None)
    if gate is None:
        raise ValueError(f"its gate must be one of {', '.join(_gates())}")
    kind, place, test, reason = (entry.get(key) for key in ("kind", "place", "test", "reason"))
    if not isinstance(kind, str) or not kind:
        raise ValueError("its kind isn't text, or is empty")
    if not isinstance(place, str) or not place:
        raise ValueError("its place isn't text, or is empty")
    if not isinstance(test, str | None) or test == "":
        raise ValueError('its test is neither text, nor null for an unknown one, nor "*"')
    if not isinstance(reason, str | None):
        raise ValueError("its reason isn't text")
    return Finding(gate, kind, place, test or ""), reason or ""


def _gates() -> Sequence[GateName]:
    return get_args(GateName)


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
