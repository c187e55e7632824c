"""A socket on which a thread waits for the other end, but not for long and not again and again."""

import errno
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

LEAST_RATE = 1000
"""Bytes a second that an upload or a download makes in the long run; the slowest lines make some thousands."""

_Moved = TypeVar("_Moved")


class _Patience:
    """Seconds that are left for waiting: they are used up by it, and come back with the bytes."""

    def __init__(self, full_s: float) -> None:
        self.full_s = self.left_s = full_s

    def use(self, seconds: float, moved: int) -> None:
        self.left_s = min(self.full_s, self.left_s - seconds + moved / LEAST_RATE)
        if self.left_s <= 0:
            raise TimeoutError("the other end is too slow")


class PacedSocket(socket.socket):
    """A socket that loses its patience with an end that stops or trickles, never with one that is merely slow.

    A socket that does not block is as any other, and a timeout that is set holds too.

    Args:
        accepted: a socket, which this one takes over.
        patience_s: longest pause; at less than `LEAST_RATE` it is used up bit by bit.
    """

    def __init__(self, accepted: socket.socket, patience_s: float) -> None:
        super().__init__(fileno=accepted.detach())
        self._reads, self._writes = _Patience(patience_s), _Patience(patience_s)

    def rest(self) -> None:
        """Be as patient as at first: another request begins."""
        self._reads, self._writes = (_Patience(patience.full_s) for patience in (self._reads, self._writes))

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Wait for bytes.

        Raises:
            TimeoutError: they do not come, or too slowly.
        """
        return self._paced(self._reads, lambda: super(PacedSocket, self).recv(bufsize, flags), len)

    def send(self, data: Any, flags: int = 0) -> int:
        """Wait until some bytes are taken.

        Raises:
            ConnectionResetError: they are not, or too slowly; nothing more can be said to such a client.
        """
        try:
            return self._paced(self._writes, lambda: super(PacedSocket, self).send(data, flags), int)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read its answer") from None

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Wait until all bytes are taken, each of them as `send` does."""
        left = memoryview(data)
        while left:
            left = left[self.send(left, flags) :]

    def _paced(self, patience: _Patience, move: Callable[[], _Moved], count: Callable[[_Moved], int]) -> _Moved:
        timeout_s = self.gettimeout()
        if timeout_s == 0:
            return move()
        patience.use(0, 0)
        self.settimeout(patience.left_s if timeout_s is None else min(timeout_s, patience.left_s))
        began = time.monotonic()
        moved = 0
        try:
            result = move()
            moved = count(result)
        finally:
            self.settimeout(timeout_s)
            patience.use(time.monotonic() - began, moved)
        return result
