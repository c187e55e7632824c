"""A bound on bytes held at once: two hundred rows at a time must not mean two hundred huge images."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Wait = Callable[[Awaitable[None]], Awaitable[None]]


async def just_wait(turn: Awaitable[None]) -> None:
    """Wait without any side effect."""
    await turn


class ByteBudget:
    """Counts bytes; first come, first served.

    A holder takes everything it may need in one step, and gives back what it holds before it takes again. So no holder
    waits, and there is no deadlock.

    Args:
        total: bytes that may be held at once; a larger single request is granted when it is alone.
        wait: how to wait; a waiter must not keep anything that holders of bytes need in order to end.
    """

    def __init__(self, total: int, wait: Wait = just_wait) -> None:
        self._total = total
        self._free = total
        self._wait = wait
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Bytes now held by all reservations."""
        return self._total - self._free

    def reservation(self) -> "Reservation":
        """Return an empty share of the budget, to be used as a context manager."""
        return Reservation(self)

    async def _take(self, size: int) -> int:
        size = min(size, self._total)
        if not self._waiting and size <= self._free:
            self._free -= size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await self._wait(turn)
        except asyncio.CancelledError:
            if not turn.cancelled():  # admitted and cancelled at the same moment
                self._free += size
            self._admit()  # those behind a cancelled one may fit now
            raise
        return size

    def _give_back(self, size: int) -> None:
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()


class Reservation:
    """One holder's share of a `ByteBudget`, given back at the end of the block."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._size = 0

    async def take(self, size: int) -> None:
        """Give back what is held and wait for `size` bytes."""
        self.shrink(0)
        self._size = await self._budget._take(size)  # noqa: SLF001 - the two classes are one mechanism

    def shrink(self, size: int) -> None:
        """Give back all but `size` bytes."""
        if size < self._size:
            surplus, self._size = self._size - size, size
            self._budget._give_back(surplus)  # noqa: SLF001

    def __enter__(self) -> Self:
        """Begin with nothing held."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shrink(0)
