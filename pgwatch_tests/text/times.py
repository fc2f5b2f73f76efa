"""Times: in documents as ISO 8601 in UTC, on screens in this machine's time zone, which is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def iso_time(moment: datetime, timespec: Literal["milliseconds", "microseconds"] = "milliseconds") -> str:
    """`2026-01-02T03:04:05.000Z`: ISO 8601, UTC."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def utc_time(moment: datetime | None, separator: str = " ") -> str:
    """`2026-01-02 03:04:05`, in UTC; empty if it isn't known."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d{separator}%H:%M:%S}"


def clock(moment: datetime) -> str:
    """`13:05:22 CEST`"""
    return moment.astimezone().strftime("%H:%M:%S %Z")


def day_and_minute(moment: datetime) -> str:
    """`02 Jan 03:04 CET`"""
    return moment.astimezone().strftime("%d %b %H:%M %Z")


def day_and_time(moment: datetime) -> str:
    """`02 Jan 03:04:05 CET`"""
    return moment.astimezone().strftime("%d %b %H:%M:%S %Z")


def in_full(moment: datetime) -> str:
    """`2026-01-02 03:04:05 CET`"""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def zone(moment: datetime) -> str:
    """`CET`: this machine's time zone at `moment`."""
    return moment.astimezone().strftime("%Z")


def short_minute(moment: datetime, now: datetime) -> str:
    """`03:04`; with the day, `02 Jan 03:04`, where it isn't that of `now`. The zone is told nearby."""
    local = moment.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%d %b %H:%M}"


def minute(moment: datetime, now: datetime) -> str:
    """`03:04 CET`; with the day where it isn't that of `now`."""
    local = moment.astimezone()
    return f"{local:%H:%M %Z}" if local.date() == now.astimezone().date() else day_and_minute(moment)
