"""Factories on factory_boy whose rows are unique, and which take away what they made: extra `factories`."""

from __future__ import annotations

try:
    import factory as _factory_boy  # noqa: F401
except ImportError as error:
    raise ImportError("factories need factory_boy: pip install 'pgwatch-tests[factories]'") from error

from pgwatch_tests.testing.factories.bound_factory import BoundFactory
from pgwatch_tests.testing.factories.unique import Unique
from pgwatch_tests.testing.factories.unique_factory import UniqueFactory

__all__ = ["BoundFactory", "Unique", "UniqueFactory"]
