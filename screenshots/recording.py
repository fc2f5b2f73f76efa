"""A recording as one JSON file: successive lock snapshots and reports, exactly as they were read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import JsonConverter, make_converter

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.sweep.model import SweepReport

RECORDING = Path(__file__).parent / "demo.json"
LARGE_SWEEP = Path(__file__).parent / "large_sweep.json"


@dataclass(frozen=True, slots=True)
class Recording:
    """What one server looked like for a while."""

    locks: tuple[LockSnapshot, ...]
    leaks: LeakReport | None = None
    sweep: SweepReport | None = None
    zone: str = "UTC"
    """Name of the time zone that its times are to be shown in (`Europe/Berlin`)."""


def save(recording: Recording, path: Path) -> None:
    """Writes `recording` to a file. Raises OSError."""
    path.write_text(_converter().dumps(recording, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Recording:
    """The recording in a file. Raises ConfigurationError if there is none in it."""
    try:
        return _converter().loads(path.read_text(encoding="utf-8"), Recording)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, BaseValidationError) as error:
        raise ConfigurationError(f"{path} isn't a recording of pgwatch-tests") from error


@cache
def _converter() -> JsonConverter:
    converter = make_converter()
    # As a pair; its annotations are strings, which cattrs doesn't resolve in a NamedTuple.
    converter.register_structure_hook(Party, lambda value, _: Party(int(value[0]), str(value[1])))
    return converter
