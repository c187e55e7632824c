"""The worker's decision, and the pace of its sockets; how it serves is in `test_slow_clients`."""

import socket
import time
from collections.abc import Iterator

import pytest

from api_shim.pace import LEAST_RATE, PacedSocket
from api_shim.slots import DOWNLOADS, EVENTS, FORMS, SEARCHES, SIZES, UPLOADS
from api_shim.uploads import AT_HAND_BYTES
from api_shim.worker import is_at_hand
from face_import.settings import Settings
from face_import.stack.supervisor import programs

PATIENCE_S = 0.3


@pytest.fixture
def ends() -> Iterator[tuple[PacedSocket, socket.socket]]:
    """A paced socket, and its other end."""
    one, other = socket.socketpair()
    with PacedSocket(one, PATIENCE_S) as paced, other:
        yield paced, other


@pytest.mark.parametrize(
    ("received", "at_hand"),
    [
        (b"", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", False),
        (b"GET / HTTP/1.1\r", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n12", False),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:3 \r\n\r\n123", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % AT_HAND_BYTES, False),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (AT_HAND_BYTES + 1), True),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nX-Content-Length: 3\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", True),
    ],
)
def test_a_request_at_hand(received: bytes, at_hand: bool) -> None:
    """It is, when no thread would wait for what is short, or when gunicorn would refuse it."""
    assert is_at_hand(received) is at_hand


def test_there_are_more_threads_than_places() -> None:
    """So many are left for requests that need no place."""
    command = next(program.command for program in programs(Settings()) if program.name == "shim")
    threads = int(command[command.index("--threads") + 1])
    assert threads - sum(slots.number for slots in (UPLOADS, FORMS, DOWNLOADS, EVENTS, SEARCHES, SIZES)) == 16


def test_silence_ends_patience(ends: tuple[PacedSocket, socket.socket]) -> None:
    """At once from then on, and not for the next request."""
    paced, other = ends
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            paced.recv(10)
    assert PATIENCE_S <= time.monotonic() - began < 2 * PATIENCE_S
    paced.rest()
    other.sendall(b"x")
    assert paced.recv(10) == b"x"


def test_bytes_bring_patience_back(ends: tuple[PacedSocket, socket.socket]) -> None:
    """In proportion: what comes at the least rate is waited for without an end, and no patience is saved up."""
    paced, other = ends
    patience = paced._reads
    patience.use(0.2, 100)
    assert patience.left_s == pytest.approx(PATIENCE_S - 0.1)
    other.sendall(b"x" * LEAST_RATE)
    paced.recv(LEAST_RATE)
    assert patience.left_s == PATIENCE_S


def test_who_does_not_read_is_as_gone(ends: tuple[PacedSocket, socket.socket]) -> None:
    """Gunicorn logs no error for a connection that was reset."""
    with pytest.raises(ConnectionResetError):
        ends[0].sendall(b"x" * 10_000_000)


def test_other_timeouts_hold_too(ends: tuple[PacedSocket, socket.socket]) -> None:
    """And are left as they were; a socket that does not block is not paced at all."""
    paced, _ = ends
    paced.settimeout(0.01)
    with pytest.raises(TimeoutError):
        paced.recv(1)
    assert paced.gettimeout() == 0.01
    paced.settimeout(0)
    with pytest.raises(BlockingIOError):
        paced.recv(1)
    assert paced._reads.left_s > PATIENCE_S / 2
