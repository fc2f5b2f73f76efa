"""The header of a request that a test sends: `X-Pgwatch-Test: <signature>.<who sends it>`.

The signature is made with the run's secret, which is in the environment: the processes that a run starts
inherit it, a server elsewhere has none and takes no header. Whoever sees a header learns a test's name, and
can't make one for another test. Only the standard library.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from ipaddress import ip_address
from typing import get_args

from pgwatch_tests.testing.current_test import Owner, OwnerKind, current

HEADER = "X-Pgwatch-Test"
SECRET_VARIABLE = "PGWATCH_SECRET"
"""The environment variable that holds the secret of a run."""

_MOST_KEPT = 1000
_RUNNER = re.compile(r"[a-z]{1,20}")
_LOCAL_DOMAINS = (".localhost", ".local", ".test", ".internal")


class _Senders:
    """The owners of requests: those of this process, and those of others as their headers tell."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Owner] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, process: int, owner: Owner) -> Owner:
        """Returns the one owner that stands for this one of another process, or is it."""
        with self._lock:
            known = self._kept.setdefault((process, owner.number), owner)
            if known is owner:
                # A process runs a test at a time, and numbers them in their order.
                for (other, number), older in self._kept.items():
                    if process == other != os.getpid() and number < owner.number and owner.kind == "test":
                        _end_test(older)
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            return known


def _end_test(owner: Owner) -> None:
    if owner.kind == "test":
        owner.end()


_senders = _Senders()


def request_headers() -> dict[str, str]:
    """Returns the header that puts a request down to the test that runs now, for any client.

    Empty outside of tests, and where `--pgwatch` is off. Don't send it to servers that aren't yours.
    """
    secret, owner = os.environ.get(SECRET_VARIABLE), current()
    if not secret or owner is None:
        return {}
    _senders.keep(os.getpid(), owner)
    words = [os.getpid(), owner.kind, owner.name, owner.worker, owner.attempt, owner.number]
    payload = urlsafe_b64encode(json.dumps(words).encode("ascii")).decode("ascii")
    return {HEADER: f"{_signature(secret, payload)}.{payload}"}


def sender(header: str) -> Owner | None:
    """Returns who has sent a request with this header; None if it isn't one of this run's."""
    secret = os.environ.get(SECRET_VARIABLE)
    given, _, payload = header.partition(".")
    if not secret or not hmac.compare_digest(given.encode(), _signature(secret, payload).encode()):
        return None
    try:
        process, kind, name, worker, attempt, number, *more = json.loads(urlsafe_b64decode(payload))
    except (ValueError, TypeError):
        return None
    if kind not in get_args(OwnerKind) or not all(isinstance(one, int) for one in (process, attempt, number)):
        return None
    # The TypeScript helper says which runner's test it is.
    runner = str(more[0]) if more and _RUNNER.fullmatch(str(more[0])) else ""
    return _senders.keep(process, Owner(kind, str(name), str(worker), attempt, number, runner))


def _signature(secret: str, payload: str) -> str:
    return hmac.digest(secret.encode(), payload.encode(), "sha256").hex()[:32]


def is_of_this_machine(host: str | None) -> bool:
    """Whether a host may be told which test runs: it is this machine, or its network's, by its name."""
    if not host:
        return True
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_DOMAINS)
    return address.is_loopback or address.is_private or address.is_unspecified
