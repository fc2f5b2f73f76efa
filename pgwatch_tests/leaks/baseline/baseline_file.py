"""A baseline as the JSON document `pgwatch-tests.baseline/1`."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
from datetime import datetime
from pathlib import Path
from typing import Final

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import make_converter

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import read_text
from pgwatch_tests.leaks.baseline.baseline import Baseline, still_running
from pgwatch_tests.leaks.baseline.content import row_hashes
from pgwatch_tests.text.times import iso_time
from pgwatch_tests.text.workflow_commands import without_commands

_LISTS = ("tables", "objects", "sequences", "content")
_CHECKSUM = "checksum"
_DAMAGES = (
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    RecursionError,
    struct.error,
    BaseValidationError,
)
SCHEMA: Final = "pgwatch-tests.baseline/1"
_CONVERTER = make_converter(forbid_extra_keys=True)
_CONVERTER.register_unstructure_hook(datetime, lambda time: iso_time(time, "microseconds"))


def document(baseline: Baseline) -> str:
    """Returns the whole baseline as JSON, one table, object or sequence per line. ASCII only."""
    fields = {"schema": SCHEMA, **_CONVERTER.unstructure(baseline)}
    lists = {name: fields.pop(name) for name in _LISTS}
    text = json.dumps(fields, indent=1).removesuffix("\n}")
    for name, things in lists.items():
        if things is not None:
            lines = ",\n".join(json.dumps(thing) for thing in things)
            text += f',\n "{name}": [\n{lines}\n ]'
    # In a CI's log they are taken out; the checksum has to bear that.
    text = without_commands(text)
    return f'{text},\n "{_CHECKSUM}": "{_checksum(text)}"\n}}\n'


def save(baseline: Baseline, path: Path) -> None:
    """Writes the file wholly or not at all. Raises ConfigurationError if it can't be written."""
    text = document(baseline)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="ascii")  # a pipe or /dev/stdout can't be replaced
            return
        try:
            with unfinished.open("x", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path.resolve())
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def load(path: Path) -> Baseline:
    """Returns the baseline in a file. Raises ConfigurationError if the file holds none."""
    try:
        text = read_text(path)
        content = json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _no_baseline(path) from error
    schema = content.pop("schema", None) if isinstance(content, dict) else None
    if schema != SCHEMA:
        known = isinstance(schema, str) and schema.startswith("pgwatch-tests.")
        raise _no_baseline(path, f": it is a {schema!r} document, not {SCHEMA!r}" if known else "")
    # Older baselines have no checksum.
    written, end, _ = text.rpartition(f',\n "{_CHECKSUM}"')
    if content.pop(_CHECKSUM, None) != (_checksum(written) if end else None):
        raise _no_baseline(path, " any more: it was damaged or changed")
    try:
        baseline = _CONVERTER.structure(content, Baseline)
        bounds = baseline.xmin, baseline.xmax, still_running(baseline.snapshot)
        for content in baseline.content or ():
            if content.hashes is not None:
                row_hashes(content)
    except _DAMAGES as error:
        raise _no_baseline(path) from error
    if not 3 <= bounds[0] <= bounds[1] or baseline.taken_at.tzinfo is None:
        raise _no_baseline(path)
    return baseline


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _no_baseline(path: Path, why: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"{path} isn't a baseline of pgwatch-tests{why}; `pgwatch-tests baseline` makes one"
    )
