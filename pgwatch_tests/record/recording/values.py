"""Frozen values as JSON and back, for what is kept in a recording. Pure.

Times are whole microseconds since 1970. A field that a file doesn't have takes its default, and one that this
version doesn't know is left out: so fields can be added without a new layout.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import make_converter

from pgwatch_tests.locks.model import Party

T = TypeVar("T")

DAMAGES = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError),
    BaseValidationError,
)
"""The errors that reading a damaged value raises."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CONVERTER = make_converter(detailed_validation=False)


def microseconds(moment: datetime) -> int:
    """A moment in microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(epoch_us: int) -> datetime:
    """The moment, in UTC, that many microseconds after 1970. Raises OverflowError."""
    return _EPOCH + timedelta(microseconds=epoch_us)


def _party(value: int | list[str | int], _type: object) -> Party:
    pid, gid = value if isinstance(value, list) else (value, "")
    return Party(int(pid), str(gid))


_CONVERTER.register_unstructure_hook(datetime, microseconds)
_CONVERTER.register_structure_hook(datetime, lambda value, _type: moment(int(value)))
_CONVERTER.register_structure_hook(
    datetime | None, lambda value, _type: None if value is None else moment(int(value))
)
_CONVERTER.register_unstructure_hook(Party, lambda party: list(party) if party.gid else party.pid)
_CONVERTER.register_structure_hook(Party, _party)


def to_json(value: object) -> str:
    """The value as JSON, ASCII only: lone surrogates survive."""
    return json.dumps(to_plain(value), separators=(",", ":"))


def from_json(text: str | bytes, form: type[T]) -> T:
    """Returns the value of that type. Raises one of DAMAGES."""
    return from_plain(json.loads(text), form)


def to_plain(value: object) -> object:
    """The value as what JSON is made of."""
    return _CONVERTER.unstructure(value)


def from_plain(plain: object, form: type[T]) -> T:
    """Returns the value of that type. Raises one of DAMAGES."""
    return _CONVERTER.structure(plain, form)
