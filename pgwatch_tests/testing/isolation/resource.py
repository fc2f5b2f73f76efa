"""A resource that is both a context manager and an asynchronous one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Resource(Generic[T]):
    """`with` or `async with`, as often as wanted: each time it makes the resource anew, and removes it again.

    Asynchronous code doesn't wait for the server: a thread does so for it.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._entered: list[AbstractContextManager[T]] = []

    def __enter__(self) -> T:
        """Makes the resource."""
        manager = self._make()
        value = manager.__enter__()
        self._entered.append(manager)
        return value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Removes it."""
        return self._entered.pop().__exit__(kind, error, traceback)

    async def __aenter__(self) -> T:
        """Makes the resource."""
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Removes it."""
        return await asyncio.to_thread(self.__exit__, kind, error, traceback)
