"""A socket on which a thread waits for the other end, but not for long and not again and again."""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

LEAST_RATE = 1000
"""Bytes a second that an upload or a download makes in the long run; the slowest lines make some thousands."""


class _Patience:
    """Seconds that are left for waiting: they are used up by it, and come back with the bytes."""

    def __init__(self, full_s: float) -> None:
        self.full_s = self.left_s = full_s
        self.moved = 0

    @contextmanager
    def waiting(self) -> Iterator[Self]:
        """Wait in here, and say how many bytes moved.

        Raises:
            TimeoutError: none did, or too few of late.
        """
        self.use(0, 0)
        began = time.monotonic()
        try:
            yield self
        except BlockingIOError:  # so the kernel says that it took too long
            self.use(self.full_s, 0)
        self.use(time.monotonic() - began, self.moved)

    def use(self, seconds: float, moved: int) -> None:
        """Take waiting off, and add what moved."""
        self.left_s = min(self.full_s, self.left_s - seconds + moved / LEAST_RATE)
        if self.left_s <= 0:
            raise TimeoutError("the other end is too slow")


class PacedSocket(socket.socket):
    """A socket that loses its patience with an end that stops or trickles, never with one that is merely slow.

    It is for sockets that block. The kernel ends the waiting: with Python's own timeouts one call would be several, and
    take the interpreter's lock again after each. Where such a timeout is set, the socket is as any other.

    Args:
        accepted: a socket, which this one takes over.
        patience_s: longest pause; at less than `LEAST_RATE` it is used up bit by bit.
    """

    def __init__(self, accepted: socket.socket, patience_s: float) -> None:
        super().__init__(fileno=accepted.detach())
        longest = struct.pack("@ll", int(patience_s), int(patience_s % 1 * 1e6))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, longest)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, longest)
        self._full_s = patience_s
        self.rest()

    def rest(self) -> None:
        """Be as patient as at first: another request begins."""
        self._reads, self._writes = _Patience(self._full_s), _Patience(self._full_s)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Wait for bytes.

        Raises:
            TimeoutError: they do not come, or too slowly.
        """
        if self.gettimeout() is not None:
            return super().recv(bufsize, flags)
        with self._reads.waiting() as waiting:
            data = super().recv(bufsize, flags)
            waiting.moved = len(data)
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """Wait until bytes are taken.

        Raises:
            ConnectionResetError: they are not, or too slowly; nothing more can be said to such a client.
        """
        if self.gettimeout() is not None:
            return super().send(data, flags)
        try:
            with self._writes.waiting() as waiting:
                waiting.moved = super().send(data, flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read its answer") from None
        return waiting.moved

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Wait until all bytes are taken, each of them as `send` does."""
        left = memoryview(data)
        while left:
            left = left[self.send(left, flags) :]
