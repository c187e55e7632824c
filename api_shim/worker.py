"""Gunicorn's gthread worker, with threads that slow clients cannot block (ADR 22).

Gunicorn's own worker gives a connection a thread at its first byte. The thread then waits without a bound for the rest
of the head, for the body, and for the client to read the response, and closing a connection blocks the event loop for
two seconds. Here the event loop reads heads and small bodies and closes connections without blocking; threads wait only
for longer bodies and for readers, which must keep up a minimum rate. The application bounds how many do (`slots`).
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

from api_shim.events import ENDING
from api_shim.pace import PacedSocket
from api_shim.uploads import AT_HAND_BYTES
from face_import.lifetime import end_with_parent

HEAD_BYTES = 2**16
SEND_BUFFER = 2**19
"""A response up to about this size is buffered by the kernel, so no thread waits for a page's reader."""
STOP_WAIT_S = 2.0
FILES = 500
"""Open files allowed for besides connections: uploads, the catalogue, logs."""
_DRAIN_S = 0.05
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,5})[ \t]*(?=\r\n)")
_NO_LENGTH_ALONE = (b"\r\nexpect:", b"\r\ntransfer-encoding:")


def is_at_hand(received: bytes | bytearray) -> bool:
    """Whether a thread would not have to wait for the client: a short request is complete, or will be rejected.

    This decides only when a request is handed to a thread; parsing its framing is left to gunicorn.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return received.count(b"\n") != received.count(b"\r\n")  # gunicorn rejects such lines at once
    head = received[: end + 2].lower()
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or any(name in head for name in _NO_LENGTH_ALONE):
        return True
    wanted = int(lengths[0])
    return wanted > AT_HAND_BYTES or len(received) >= end + 4 + wanted


def allow_files(number: int) -> None:
    """Raise the limit on open files to the number needed, as far as allowed; it often starts at 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connection(TConn):  # type: ignore[misc]
    """A connection, the bytes received but not handed to a thread, and since when it has been waiting."""

    def __init__(self, worker: "Worker", accepted: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, PacedSocket(accepted, worker.patience_s), client, server)
        self.init()
        self.received = bytearray()
        self.since = 0.0
        self.lingers = False
        self._worker = worker

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - gunicorn's interface
        """Close it; `graceful` makes sure that the last response reaches a client that is still sending."""
        if graceful:
            self._worker.linger(self)
        else:
            super().close()


_Step = Callable[[Connection], None]


class Worker(ThreadWorker):  # type: ignore[misc]
    """The worker; everything but `handle` runs in its event loop.

    Attributes:
        wait_s: time limit for a head and a small body to arrive, and for a finished connection to close.
        patience_s: see `PacedSocket`.
    """

    wait_s = 20.0
    patience_s = 30.0

    def init_process(self) -> None:
        """Start serving."""
        end_with_parent()
        allow_files(self.worker_connections + FILES)
        self.cfg.set("sendfile", False)  # noqa: FBT003 - it would bypass PacedSocket
        super().init_process()

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """End live streams, then finish what is under way."""
        ENDING.set()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """End at once, live streams included: their threads would be waited for."""
        ENDING.set()
        super().handle_quit(sig, frame)

    def accept(self, listener: Any) -> None:
        """Accept a connection, dropping the longest-waiting one if necessary."""
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
        """Give a connection a thread, now or once its request has been received."""
        conn.sock.settimeout(0)
        conn.received[:] = conn.parser.unreader.take_buffered()  # a second request came with the first
        step = self._hand_over if is_at_hand(conn.received) else self._read(conn)
        if step:
            step(conn)
        else:
            self._wait(conn)

    def on_pending_socket_readable(self, conn: Connection, _client: Any) -> None:
        """Read from a waiting connection."""
        if step := self._read(conn):
            self._forget(conn)
            step(conn)

    def murder_pending(self) -> None:
        """Close the connections that have waited too long."""
        oldest = time.monotonic() - (self.wait_s if self.alive else min(self.wait_s, STOP_WAIT_S))
        while self.pending_conns and self.pending_conns[0].since <= oldest:
            self._give_up(self.pending_conns[0])

    def linger(self, conn: Connection) -> None:
        """Close a connection when its client does, or after a time: closing at once could lose the last response."""
        self.nr_conns += 1  # gunicorn has already subtracted it
        conn.lingers = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.settimeout(0)
        except OSError:  # already closed
            self._end(conn)
        else:
            self._wait(conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """Whether to keep the connection: not after an unread body, unless all of it has arrived."""
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_S))

    def _read(self, conn: Connection) -> _Step | None:
        """Read available bytes; returns the next step, or None to keep waiting."""
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
        with suppress(OSError):  # non-blocking
            conn.sock.send(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        conn.received.clear()
        self.nr_conns -= 1
        self.linger(conn)

    def _end(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> None:
        """Close the longest-waiting connection, else the longest-idle one."""
        if self.pending_conns:
            conn = self.pending_conns[0]
            self._forget(conn)
            self._end(conn)
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._end(conn)
