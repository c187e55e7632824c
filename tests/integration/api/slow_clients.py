"""Clients that keep a server waiting, on plain sockets."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import Self
from urllib.parse import urlsplit

DEADLINE_S = 30.0
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="group_name"\r\n\r\nstaff\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="faces.csv"\r\n\r\n'
)
FORM_END = b"\r\n--b--\r\n"
CREATE = "/v1/tasks/create"


def head(method: str, path: str, *lines: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


def create_head(*lines: str) -> bytes:
    """The head of an upload; `lines` say how long it is."""
    return head("POST", CREATE, "Content-Type: multipart/form-data; boundary=b", *lines)


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Clients:
    """Makes clients of a server, and closes them in the end.

    Args:
        url: the server's.
    """

    def __init__(self, url: str) -> None:
        self._address = (urlsplit(url).hostname, urlsplit(url).port)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def sends(self, data: bytes, *, receive_buffer: int = 0) -> socket.socket:
        """A client that has sent this."""
        client = self._open.enter_context(socket.socket())
        client.settimeout(DEADLINE_S)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(self._address)
        client.sendall(data)
        return client


def answer(client: socket.socket) -> bytes:
    """What the server has sent when it closes the connection, within the deadline."""
    pieces = []
    with suppress(ConnectionResetError):
        while piece := client.recv(2**16):
            pieces.append(piece)
    return b"".join(pieces)


def begins(client: socket.socket, size: int = 12) -> bytes:
    """The first bytes of an answer: the version and the status."""
    return client.recv(size, socket.MSG_WAITALL)


def is_held(client: socket.socket) -> bool:
    """Whether the server has neither answered nor closed the connection."""
    client.setblocking(False)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        client.settimeout(DEADLINE_S)
    return False


@contextmanager
def dripping(clients: Sequence[socket.socket], every_s: float, piece: bytes = b"a") -> Iterator[None]:
    """Meanwhile each client sends a little, now and then; those that the server has closed do not mind."""
    enough = Event()

    def drip() -> None:
        while not enough.wait(every_s):
            for client in clients:
                with suppress(OSError):
                    client.sendall(piece)

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
