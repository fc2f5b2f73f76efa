"""Where the server may listen, and what is said of other places."""

from __future__ import annotations

import socket

import pytest

from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.web.listen_address import of_socket, parse


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("127.1.2.3:1", "http://127.1.2.3:1"),
        ("localhost:65535", "http://127.0.0.1:65535"),
        ("LOCALHOST:80", "http://127.0.0.1:80"),
        ("[::1]:0", "http://[::1]:0"),
        ("9000", "http://127.0.0.1:9000"),
    ],
)
def test_places_of_this_machine(text: str, origin: str) -> None:
    assert parse(text).origin == origin


@pytest.mark.parametrize(
    "text", ["0.0.0.0:8080", "[::]:8080", ":8080", "10.0.0.7:8080", "ci.example:8080", "127.1:8080"]
)
def test_any_other_place_is_refused_with_the_tunnel(text: str) -> None:
    with pytest.raises(RefusedError, match=r"ssh -L 8080:127\.0\.0\.1:8080 HOST"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "[::1]:٣"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--listen takes HOST:PORT, such as 127\.0\.0\.1:8080"):
        parse(text)


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"^port {port} of 127.0.0.1 is in use: --listen 127"):
            parse(str(port)).bind()


def test_port_0_is_a_free_one() -> None:
    with parse("127.0.0.1:0").bind() as bound:
        address = of_socket(bound)
        assert address.port
        assert address.tunnel == f"ssh -L {address.port}:127.0.0.1:{address.port} HOST"
