"""Declarations of unique values, for attributes of factories."""

from __future__ import annotations

from typing import Any

from factory.declarations import LazyFunction

from pgwatch_tests.testing.identifiers import unique_email, unique_id


class Unique:
    """Values that nobody else has, of any process, whatever seeds `random`, Faker or factory_boy.

    They name the test that makes the row, as `unique_email` and `unique_id` do, which check the prefix: here
    when the factory is declared. Raises ValueError for one that they refuse.
    """

    @staticmethod
    def email(prefix: str, domain: str = "test.example.com") -> Any:
        """Returns the declaration of an email address: `email = Unique.email("parent")`."""
        unique_email(prefix, domain)
        return LazyFunction(lambda: unique_email(prefix, domain))

    @staticmethod
    def id(prefix: str) -> Any:
        """Returns the declaration of an id: `clerk_id = Unique.id("clerk")`."""
        unique_id(prefix)
        return LazyFunction(lambda: unique_id(prefix))
