"""Users over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.factories import UserFactory


def test_a_parent_registers(client: TestClient, unique_email: Callable[[str], str]) -> None:
    email = unique_email("parent")
    answer = client.post("/users", json={"email": email, "name": "Pat"})
    assert (answer.status_code, answer.json()["email"]) == (201, email)


def test_a_user_is_shown(client: TestClient, session: Session) -> None:
    user = UserFactory.create(name="Kim")
    assert client.get(f"/users/{user.id}").json()["name"] == "Kim"


def test_an_unknown_user_is_not_found(client: TestClient) -> None:
    assert client.get("/users/0").status_code == 404


def test_an_address_is_taken_once(client: TestClient) -> None:
    user = UserFactory.create()
    answer = client.post("/users", json={"email": user.email, "name": "Pat"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "this address is taken")


@pytest.mark.parametrize("role", ["PARENT", "INSTRUCTOR"])
def test_a_user_has_a_role(client: TestClient, unique_email: Callable[[str], str], role: str) -> None:
    wanted = {"email": unique_email(role.lower()), "name": "Pat", "role": role}
    assert client.post("/users", json=wanted).json()["role"] == role


def test_a_user_without_a_name_is_refused(client: TestClient, unique_email: Callable[[str], str]) -> None:
    assert client.post("/users", json={"email": unique_email("parent")}).status_code == 422
