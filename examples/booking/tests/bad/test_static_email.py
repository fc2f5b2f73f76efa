"""Bad: a static address. It is free once only, and nobody knows whose it is."""

from __future__ import annotations

from booking.api import create_app
from fastapi.testclient import TestClient
from sqlalchemy import Engine


def test_a_parent_registers(engine: Engine) -> None:
    client = TestClient(create_app(engine))
    answer = client.post("/users", json={"email": "parent@test.example.com", "name": "Pat"})
    assert answer.status_code in (201, 409)
