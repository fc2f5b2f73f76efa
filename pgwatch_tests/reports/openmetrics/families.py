"""Families of metrics, and the text of them that OpenMetrics and Prometheus's older parser both take.

The textfile collector of a node exporter reads the older format: it refuses samples with timestamps and types
that only OpenMetrics has, and takes `# UNIT` and `# EOF` for comments (prometheus/common, expfmt). So all are
gauges, times are values, and both parsers read the same from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from pgwatch_tests.text.plain_text import plain

PREFIX = "pgwatch_tests_"
_LONGEST = 200  # characters of a label's value

T = TypeVar("T")
Labels = Mapping[str, str]
Unit = Literal["", "seconds"]


@dataclass(frozen=True, slots=True)
class Family:
    """A gauge: its name without the prefix, what it is, and its samples, each with labels of its own.

    A name with a unit ends with it (OpenMetrics 1.0, "Unit").
    """

    name: str
    help: str
    samples: tuple[tuple[Labels, float], ...]
    unit: Unit = ""


def gauge(name: str, help: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """A family with these samples; its unit is that of its name."""
    return Family(name, help, tuple(samples), "seconds" if name.endswith("_seconds") else "")


def gauge_of(name: str, help: str, places: Iterable[tuple[Labels, T]], value: Callable[[T], float]) -> Family:
    """A family with a sample per place: the labels that come with it, and its value."""
    return gauge(name, help, ((labels, value(one)) for labels, one in places))


def text(families: Iterable[Family]) -> str:
    """The document. Families without samples are left out; a label with no value isn't written."""
    lines: list[str] = []
    for family in families:
        name = f"{PREFIX}{family.name}"
        if not family.samples:
            continue
        lines.append(f"# TYPE {name} gauge")
        if family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        lines.append(f"# HELP {name} {_escaped(family.help)}")
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "\n".join([*lines, "# EOF"]) + "\n"


def seconds_since_epoch(moment: datetime) -> float:
    """A time as Prometheus has it, to the millisecond."""
    return round(moment.timestamp(), 3)


def _labels(labels: Labels) -> str:
    pairs = [f'{name}="{_value(value)}"' for name, value in labels.items() if value]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _value(value: str) -> str:
    return _escaped(plain(value, _LONGEST)).replace('"', r"\"")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
