"""Places: as many of a shard's rows make calls at a time as its grant allows; the others need nobody (ADR 16)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
RowTask = asyncio.Task[None]


class Places:
    """Which rows have a place, and which wait to have theirs back.

    A row has a place while it calls image host and services, one call at a time. While it decodes, or waits for
    room for its picture, another row has the place.
    """

    def __init__(self) -> None:
        self._taken: set[RowTask] = set()
        self._waiting: deque[tuple[RowTask, asyncio.Future[None]]] = deque()
        self._is_free: Callable[[], bool] = lambda: True
        self._left: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        """Places that are taken."""
        return len(self._taken)

    def govern(self, *, is_free: Callable[[], bool], left: Callable[[], None]) -> None:
        """Set the rules.

        Args:
            is_free: whether a row that waits for its place may have one now.
            left: called when a row has left its place, and no other waits for one.
        """
        self._is_free, self._left = is_free, left

    def take(self, row: RowTask) -> None:
        """Give a row that starts its place."""
        self._taken.add(row)

    def leave(self, row: RowTask) -> None:
        """Take the place of a row that has ended, if it has one, for whoever waits."""
        self._taken.discard(row)
        self.fill()

    def fill(self) -> None:
        """Let those that wait have the places that are free now, in their order."""
        while self._waiting and self._is_free():
            row, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken.add(row)
                turn.set_result(None)

    async def aside(self, work: Awaitable[T]) -> T:
        """Do what needs nobody without the current row's place, and wait to have one again.

        A row whose work raises goes on without a place: it has ended.
        """
        row = asyncio.current_task()
        if row not in self._taken:
            return await work
        self.leave(row)
        self._left()
        result = await work
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((row, turn))
        self.fill()
        await turn
        return result
