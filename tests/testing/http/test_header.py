"""The header tells who sends a request, to whoever has the secret of the run, and only on this machine."""

from __future__ import annotations

import hmac
import json
import os
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
import requests
from django.test.client import AsyncRequestFactory, RequestFactory
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from pgwatch_tests.testing import asgi, request_headers, wsgi
from pgwatch_tests.testing.current_test import Owner, current, running
from pgwatch_tests.testing.http.clients import HttpClients
from pgwatch_tests.testing.http.header import HEADER, SECRET_VARIABLE, is_of_this_machine, sender
from pgwatch_tests.testing.http.servers import AsgiApp, server_process

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SECRET = "5e6f7a8b5e6f7a8b"
ONE = Owner("test", "tests/test_ä.py::test_one[ü]", worker="gw0", attempt=2)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The run has one; this process is no server any more afterwards."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    yield
    server_process.stop()


@pytest.fixture
def clients() -> Iterator[None]:
    """The clients are hooked."""
    warnings: list[str] = []
    hooks = HttpClients(warnings.append)
    hooks.look()
    yield
    hooks.remove()
    assert warnings == []


def client_of(app: AsgiApp) -> TestClient:
    with warnings.catch_warnings():
        # Where httpx2 isn't installed, it takes httpx and warns.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    return TestClient(app)


def of_another_process(number: int, kind: str = "test", *more: str) -> str:
    words = [1, kind, f"test_{number}", "gw1", 1, number, *more]
    return signed(urlsafe_b64encode(json.dumps(words).encode()).decode())


def signed(payload: str, secret: str = SECRET) -> str:
    return f"{hmac.new(secret.encode(), payload.encode(), 'sha256').hexdigest()[:32]}.{payload}"


def test_this_process_gets_its_own_owner_back() -> None:
    with running(ONE):
        [(name, value)] = request_headers().items()
    assert name == HEADER
    assert value.isascii()
    assert sender(value) is ONE


def test_an_owner_of_another_process_ends_with_the_next_test() -> None:
    first, fixture = sender(of_another_process(10**6)), sender(of_another_process(10**6 + 1, "fixture"))
    assert first is not None
    assert fixture is not None
    assert (first.name, first.worker, first.has_ended) == (f"test_{10**6}", "gw1", False)
    assert sender(of_another_process(10**6)) is first
    sender(of_another_process(10**6 + 2))
    assert first.has_ended
    assert not fixture.has_ended


def test_an_owner_of_another_runner() -> None:
    runners = []
    for number, runner in enumerate(("playwright", "SET x; --", "", "a" * 30)):
        owner = sender(of_another_process(10**7 + number, "test", runner))
        assert owner is not None
        runners.append(owner.runner)
    assert runners == ["playwright", "", "", ""]


@pytest.mark.parametrize(
    "header",
    [
        "",
        ".",
        SECRET,
        f"{SECRET}.bnVsbA==",
        signed(""),
        signed("e30="),
        signed("%%"),
        signed("bnVsbA=="),
        "ä.x",
        signed("WzEsICJ0ZXN0IiwgInRlc3RfMSIsICJndzEiLCAxLCAxXQ==", "another secret"),
    ],
)
def test_what_is_no_header_of_the_run_is_nobodys(header: str) -> None:
    assert sender(header) is None


def test_a_header_says_nothing_of_the_secret_and_is_for_one_test_alone() -> None:
    one, other = of_another_process(1), of_another_process(2)
    assert SECRET not in one
    assert sender(one) is not None
    assert sender(f"{one.partition('.')[0]}.{other.partition('.')[2]}") is None


def test_without_a_secret_or_a_test_there_is_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(ONE):
        value = request_headers()[HEADER]
        for secret in ("", "other"):
            monkeypatch.setenv(SECRET_VARIABLE, secret)
            assert sender(value) is None
        monkeypatch.delenv(SECRET_VARIABLE)
        assert sender(value) is None
        assert request_headers() == {}


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("testserver", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("10.1.2.3", True),
        ("web", True),
        ("app.localhost", True),
        ("APP.test.", True),
        ("example.com", False),
        ("8.8.8.8", False),
        ("localhost.example.com", False),
        (None, True),
    ],
)
def test_hosts(host: str | None, is_ours: bool) -> None:
    assert is_of_this_machine(host) == is_ours


def echo(request: Request) -> JSONResponse:
    owner = current()
    if "to" in request.query_params:
        headers = {"location": request.query_params["to"]}
        return JSONResponse(None, status_code=307, headers=headers)
    return JSONResponse({"header": request.headers.get(HEADER), "owner": owner and owner.name})


STARLETTE = Starlette(routes=[Route("/", echo)])


async def test_clients_of_httpx_send_it(clients: None) -> None:
    served = asgi(STARLETTE)
    with running(ONE):
        assert client_of(served).get("/").json()["owner"] == ONE.name
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://web", follow_redirects=True
        ) as client:
            assert (await client.get("/")).json()["owner"] == ONE.name
            away = (await client.get("/", params={"to": "http://example.com/"})).json()
    assert away["header"] is None
    assert client_of(served).get("/").json() == {"header": None, "owner": None}


def test_requests_send_it(clients: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def send(self: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        seen.append(HEADER in request.headers)
        response = requests.Response()
        response.status_code = 200
        response.request, response.url = request, request.url or ""
        response._content = b""
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with running(ONE):
        requests.get("http://127.0.0.1:1/", timeout=1)
        requests.get("http://example.com/", timeout=1)
    requests.get("http://127.0.0.1:1/", timeout=1)
    assert seen == [True, False, False]


def test_clients_of_django_send_it(clients: None) -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    with running(ONE):
        environ = RequestFactory()._base_environ(PATH_INFO="/")
        scope = AsyncRequestFactory()._base_scope(path="/")
    assert sender(environ["HTTP_X_PGWATCH_TEST"]) is ONE
    assert sender(dict(scope["headers"])[HEADER.lower().encode()].decode()) is ONE
    assert "HTTP_X_PGWATCH_TEST" not in RequestFactory()._base_environ()


def test_wsgi_applications_work_for_the_sender_to_the_end_of_the_body() -> None:
    seen: list[object] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(current())
            yield b"a"
            seen.append(current())

        def close(self) -> None:
            seen.append(current())

    def app(environ: dict[str, object], start_response: object) -> Body:
        seen.append(current())
        return Body()

    environ: dict[str, object] = {}
    setup_testing_defaults(environ)
    served = wsgi(app)
    body = served(dict(environ), print)
    assert type(body) is Body
    assert seen == [None]
    seen.clear()
    with running(ONE):
        environ["HTTP_X_PGWATCH_TEST"] = request_headers()[HEADER]
    body = served(environ, print)
    assert list(body) == [b"a"]
    body.close()  # type: ignore[attr-defined]
    assert seen == [ONE] * 4
    assert current() is None


def test_hooks_that_are_removed_leave_nothing() -> None:
    before = vars(httpx.Client)["_send_single_request"], vars(requests.Session)["send"]
    hooks = HttpClients(print)
    hooks.look()
    assert vars(httpx.Client)["_send_single_request"] is not before[0]
    hooks.remove()
    assert (vars(httpx.Client)["_send_single_request"], vars(requests.Session)["send"]) == before


async def test_a_fastapi_application_takes_it_as_middleware(clients: None) -> None:
    app = Starlette(routes=[Route("/", echo), Route("/plain", lambda _: PlainTextResponse("ok"))])
    app.add_middleware(asgi)
    with running(ONE):
        assert client_of(app).get("/").json()["owner"] == ONE.name
    assert client_of(app).get("/plain").text == "ok"
    assert os.environ[SECRET_VARIABLE] == SECRET
