"""Unique values for tests: email addresses and ids that tell when, by which test and in which run.

    unique_email("parent")   parent-1717171717171-t1a2b3c4d-r5e6f7a8b-k3v9x0q2m1zc@test.example.com
    unique_id("clerk")       clerk_1717171717171_t1a2b3c4d_r5e6f7a8b_k3v9x0q2m1zc

The default markers match them, so a sweep finds what is left of them. `pgwatch_tests.identity.value_tokens`
has the grammar. Outside of a test the part with its hash is missing. The random part comes from the operating
system: pytest-randomly seeds `random` alike in every worker and every test.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.identity.value_tokens import RUN_VARIABLE, token
from pgwatch_tests.testing.current_test import current

_RUN_ID = re.compile(r"[0-9a-f]{8}")
_EMAIL_PREFIX = re.compile(r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9.+_-]{0,38}[A-Za-z0-9])?")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ID_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*")
_LONGEST_PREFIX = 40
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_RANDOM_DIGITS = 12
"""36^12 are 4.7e18: a million values of one millisecond have one in ten million chances to collide."""
_FEWEST_RANDOM_DIGITS = 8
"""36^8 are 2.8e12, for the few hundred values that one test makes in a millisecond."""
_LONGEST_LOCAL_PART = 64
"""RFC 5321, 4.5.3.1.1: what validators let an address have before the `@`."""

_runs: list[str] = []
"""The runs that this process has begun and not ended, the latest last; before any, one of its own."""
_runs_lock = threading.Lock()


def run_id() -> str:
    """Returns the id of the run that this process works for: 8 hex digits, the same for all of its workers.

    It is that of the `run` that was entered last, else that of `PGWATCH_RUN`, which the plugin's controller
    and `pgwatch-tests run` set, else one made of pytest-xdist's, else a new one, the same as long as the
    process lives. A forked worker has its parent's. Raises ConfigurationError if the variable holds no such
    id.
    """
    try:
        return _runs[-1]  # without the lock: a process forked while another thread had it would hang
    except IndexError:
        pass
    with _runs_lock:
        if not _runs:
            _runs.append(_given_run() or _run_of_xdist() or secrets.token_hex(4))
        return _runs[-1]


def _given_run() -> str | None:
    """Returns the id in the environment, None if there is none."""
    given = os.environ.get(RUN_VARIABLE)
    if given and not _RUN_ID.fullmatch(given.lower()):
        raise ConfigurationError(f"{RUN_VARIABLE} must be 8 hex digits, as `openssl rand -hex 4` prints")
    return given.lower() if given else None


def _run_of_xdist() -> str | None:
    """Returns an id that all workers of pytest-xdist derive alike, the plugin being off; None outside."""
    uid = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return hashlib.sha256(uid.encode()).hexdigest()[:8] if uid else None


@contextmanager
def entered_run(id_: str | None) -> Iterator[str]:
    """Makes `id_` the run of this process, without one that of `PGWATCH_RUN`, without that a new one."""
    id_ = id_ or _given_run() or secrets.token_hex(4)
    with _runs_lock:
        _runs.append(id_)
    try:
        yield id_
    finally:
        with _runs_lock:
            _runs.remove(id_)


def unique_email(prefix: str, domain: str = "test.example.com") -> str:
    """Returns an email address that nobody else has: at most 64 characters before the `@` for 21 of prefix.

    The default markers know those of the default domain. Raises ValueError for a prefix that isn't 1 to 40
    letters, digits, `.`, `+`, `_` and `-`, with a letter or digit at both ends and no `..`, and for a domain
    that no host has.
    """
    if not _EMAIL_PREFIX.fullmatch(prefix):
        raise ValueError(
            f"the prefix of an email address is 1 to {_LONGEST_PREFIX} letters, digits, '.', '+', '_' and "
            f"'-', with a letter or digit at both ends and no '..': not {prefix!r}"
        )
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"the domain of an email address is a name such as test.example.com: not {domain!r}")
    unique = _unique_part("-")
    too_many = len(prefix) + 1 + len(unique) - _LONGEST_LOCAL_PART
    if too_many > 0:
        unique = unique[: -min(too_many, _RANDOM_DIGITS - _FEWEST_RANDOM_DIGITS)]
    return f"{prefix}-{unique}@{domain}"


def unique_id(prefix: str) -> str:
    """Returns an id that nobody else has.

    Raises ValueError for a prefix that isn't 1 to 40 letters, digits, `-` and single `_`, a letter first: the
    marker of test ids wouldn't match it.
    """
    if len(prefix) > _LONGEST_PREFIX or not _ID_PREFIX.fullmatch(prefix):
        raise ValueError(
            f"the prefix of an id is 1 to {_LONGEST_PREFIX} letters, digits, '-' and single '_', a letter "
            f"first: not {prefix!r}"
        )
    return f"{prefix}_{_unique_part('_')}"


def _unique_part(separator: str) -> str:
    parts = [
        str(real_time_ms()),
        f"r{run_id()}",
        "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_DIGITS)),
    ]
    if (test := _current_test()) is not None:
        parts.insert(1, token(test))
    return separator.join(parts)


def _current_test() -> str | None:
    """Returns the test that runs; None: none does, or a fixture that is wider than one is set up."""
    if (owner := current()) is not None:
        return owner.name if owner.kind == "test" else None
    # pytest sets it for each phase, as `tests/test_it.py::test_one (call)`.
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0] or None
