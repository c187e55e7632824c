"""Gunicorn's gthread worker, with threads that clients cannot keep waiting (ADR 22).

Gunicorn's own gives a connection a thread at its first byte. The thread waits for the rest of the head, for the body,
and for whoever does not read the answer, without an end, and the event loop waits two seconds at each connection that
is closed. Here the event loop reads heads and small bodies, and closes, without waiting; what threads wait for, longer
bodies and readers, has to go on at a least rate. How many may is the application's affair (`places`).
"""

import errno
import re
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from api_shim.pace import PacedSocket
from api_shim.uploads import AT_HAND_BYTES

HEAD_BYTES = 2**16
SEND_BUFFER = 2**19
"""An answer up to about this is the kernel's as soon as it is written, so pages need nobody who reads them."""
STOP_WAIT_S = 2.0
FILES = 500
"""Files that may be open beside the connections: uploads, the catalogue, logs."""
_DRAIN_S = 0.05
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,5})[ \t]*(?=\r\n)")
_NO_LENGTH_ALONE = (b"\r\nexpect:", b"\r\ntransfer-encoding:")


def is_at_hand(received: bytes | bytearray) -> bool:
    """Whether a thread would not wait for the client: of what it gets, all is here that is short, or it is refused.

    This decides when, never how a request is read: its framing is up to gunicorn's parser.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return received.count(b"\n") != received.count(b"\r\n")  # gunicorn refuses such lines at once
    head = received[: end + 2].lower()
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or any(name in head for name in _NO_LENGTH_ALONE):
        return True
    wanted = int(lengths[0])
    return wanted > AT_HAND_BYTES or len(received) >= end + 4 + wanted


def allow_files(number: int) -> None:
    """Have as many files open as there may be connections, as far as the system lets us: often it begins with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connection(TConn):  # type: ignore[misc]
    """A connection, what came on it that no thread has seen, and since when it is waited for."""

    def __init__(self, worker: "Worker", accepted: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, PacedSocket(accepted, worker.patience_s), client, server)
        self.init()
        self.received = bytearray()
        self.since = 0.0
        self.lingers = False
        self._worker = worker

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - gunicorn's interface
        """Close it; gracefully means that an answer is on its way, and reaches a client that is still sending."""
        if graceful:
            self._worker.linger(self)
        else:
            super().close()


_Step = Callable[[Connection], None]


class Worker(ThreadWorker):  # type: ignore[misc]
    """The worker; everything but `handle` runs in its event loop.

    Attributes:
        wait_s: a head and a small body have to be there, and an ended connection closed, within these seconds.
        patience_s: see `PacedSocket`.
    """

    wait_s = 20.0
    patience_s = 30.0

    def init_process(self) -> None:
        """Begin to serve."""
        allow_files(self.worker_connections + FILES)
        self.cfg.set("sendfile", False)  # noqa: FBT003 - it would go past the pace
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Accept a connection, if need be in place of the one that is waited for longest."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._make_room()
            elif error.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
                raise
            return
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self.enqueue_req(Connection(self, accepted, client, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Give a connection a thread, now or when its request is at hand."""
        conn.sock.settimeout(0)
        conn.received[:] = conn.parser.unreader.take_buffered()  # a second request came with the first
        step = self._hand_over if is_at_hand(conn.received) else self._read(conn)
        if step:
            step(conn)
        else:
            self._wait(conn)

    def on_pending_socket_readable(self, conn: Connection, _client: Any) -> None:
        """Take what came on a connection that is waited for."""
        if step := self._read(conn):
            self._forget(conn)
            step(conn)

    def murder_pending(self) -> None:
        """Give up the connections that were waited for long enough."""
        oldest = time.monotonic() - (self.wait_s if self.alive else min(self.wait_s, STOP_WAIT_S))
        while self.pending_conns and self.pending_conns[0].since <= oldest:
            self._give_up(self.pending_conns[0])

    def linger(self, conn: Connection) -> None:
        """Close a connection when its client does, or after a time: closed at once, it could lose its last answer."""
        self.nr_conns += 1  # gunicorn has counted it off
        conn.lingers = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.settimeout(0)
        except OSError:  # it is gone
            self._end(conn)
        else:
            self._wait(conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """Whether another request may come: not behind a body that nobody reads, unless it is here."""
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_S))

    def _read(self, conn: Connection) -> _Step | None:
        """Read what is there; what to do with the connection then, if it is not to be waited for any longer."""
        try:
            data = conn.sock.recv(HEAD_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return self._end
        if conn.lingers:
            return None
        conn.received += data
        if is_at_hand(conn.received):
            return self._hand_over
        too_large = len(conn.received) > HEAD_BYTES and b"\r\n\r\n" not in conn.received
        return partial(self._refuse, status="431 Request Header Fields Too Large") if too_large else None

    def _hand_over(self, conn: Connection) -> None:
        conn.parser.unreader.unread(bytes(conn.received))
        conn.received.clear()
        conn.sock.rest()
        super().enqueue_req(conn)

    def _wait(self, conn: Connection) -> None:
        conn.since = time.monotonic()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _forget(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _give_up(self, conn: Connection) -> None:
        self._forget(conn)
        if conn.received:
            self._refuse(conn, "408 Request Timeout")
        else:
            self._end(conn)

    def _refuse(self, conn: Connection, status: str) -> None:
        with suppress(OSError):  # it does not wait
            conn.sock.send(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        conn.received.clear()
        self.nr_conns -= 1
        self.linger(conn)

    def _end(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> None:
        """End the connection that is waited for longest, else the one that is idle longest."""
        if self.pending_conns:
            conn = self.pending_conns[0]
            self._forget(conn)
            self._end(conn)
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._end(conn)
