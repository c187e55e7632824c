"""A socket that bounds how long a thread waits for its peer, per pause and in total."""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

LEAST_RATE = 1000
"""Minimum long-run bytes per second of an upload or download; the slowest links manage some thousands."""


class _Patience:
    """A budget of waiting time: spent by waiting, refilled by bytes."""

    def __init__(self, full_s: float) -> None:
        self.full_s = self.left_s = full_s
        self.moved = 0

    @contextmanager
    def waiting(self) -> Iterator[Self]:
        """Context for one wait; set `moved` to the number of bytes transferred.

        Raises:
            TimeoutError: the budget is spent.
        """
        self.use(0, 0)
        began = time.monotonic()
        try:
            yield self
        except BlockingIOError:  # how the kernel reports the socket timeout
            self.use(self.full_s, 0)
        self.use(time.monotonic() - began, self.moved)

    def use(self, seconds: float, moved: int) -> None:
        """Spend waiting time, and refill by the bytes moved."""
        self.left_s = min(self.full_s, self.left_s - seconds + moved / LEAST_RATE)
        if self.left_s <= 0:
            raise TimeoutError("the peer is too slow")


class PacedSocket(socket.socket):
    """A socket that times out on a peer that stops or trickles, but not on one that is merely slow.

    For blocking sockets. The kernel enforces the timeout: with Python's own, one call would become several, each taking
    the interpreter's lock again. With a Python timeout set, this is an ordinary socket.

    Args:
        accepted: a socket, whose file descriptor this one takes over.
        patience_s: longest pause; transfer slower than `LEAST_RATE` uses it up gradually.
    """

    def __init__(self, accepted: socket.socket, patience_s: float) -> None:
        super().__init__(fileno=accepted.detach())
        longest = struct.pack("@ll", int(patience_s), int(patience_s % 1 * 1e6))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, longest)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, longest)
        self._full_s = patience_s
        self.rest()

    def rest(self) -> None:
        """Reset the patience for the next request."""
        self._reads, self._writes = _Patience(self._full_s), _Patience(self._full_s)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Wait for bytes.

        Raises:
            TimeoutError: none arrive, or too slowly.
        """
        if self.gettimeout() is not None:
            return super().recv(bufsize, flags)
        with self._reads.waiting() as waiting:
            data = super().recv(bufsize, flags)
            waiting.moved = len(data)
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """Wait until bytes are accepted.

        Raises:
            ConnectionResetError: they are not, or too slowly; such a client cannot be answered.
        """
        if self.gettimeout() is not None:
            return super().send(data, flags)
        try:
            with self._writes.waiting() as waiting:
                waiting.moved = super().send(data, flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read the response") from None
        return waiting.moved

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Wait until all bytes are accepted, as `send` does."""
        left = memoryview(data)
        while left:
            left = left[self.send(left, flags) :]
