"""Image host and both face services in one process that does as little as it can: fixed answers after a delay.

The doubles of the tests check every request; this one only counts bytes, because it shares the processors with
what is measured. `GET /delay/<seconds>/<seconds>` sets the delays of image host and services; `GET /adds` says when the
first and every tenth face was added since it was asked last. `GET /image/<anything>` is always the same picture.
"""

import asyncio
import json
import selectors
import sys
import time
from pathlib import Path

MARK_EVERY = 10
_FACE = {"index": 1, "class": "face", "score": 0.9876, "pts": [[180, 80], [330, 80], [330, 230], [180, 230]]}


def _answer(body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


DETECTED = _answer(json.dumps({"code": 0, "message": "", "result": {"detections": [_FACE]}}).encode())
DONE = _answer(b"{}")
START = 200
"""Bytes of a body that are kept: the id of a face stands in front of its picture."""


class State:
    """What all connections share: the picture, the delays, and when faces were added."""

    def __init__(self, picture: bytes) -> None:
        self.image = _answer(picture, "image/jpeg")
        self.image_delay = self.delay = 0.0
        self.adds = 0
        self.marks: list[tuple[int, float]] = []

    def respond(self, request: bytes, body: bytes) -> tuple[bytes, float]:
        """The answer to a request, by its first line and how its body begins, and the delay before it."""
        method, _, path = request.partition(b" ")
        path = path.partition(b" ")[0]
        if method == b"POST":
            return self._posted(path, body), self.delay
        if path.startswith(b"/image"):
            return self.image, self.image_delay
        if path.startswith(b"/delay/"):
            self.image_delay, self.delay = map(float, path.split(b"/")[2:])
            return DONE, 0.0
        told, self.adds, self.marks = self.marks, 0, []
        return _answer(json.dumps(told).encode()), 0.0

    def _posted(self, path: bytes, body: bytes) -> bytes:
        if path.endswith(b"/add"):
            self.adds += 1
            if self.adds == 1 or self.adds % MARK_EVERY == 0:
                self.marks.append((self.adds, time.time()))
            face_id = body.partition(b'"id": "')[2].partition(b'"')[0]
            return _answer(b'{"id": "%s"}' % face_id)
        return DETECTED if path.endswith(b"facex-detect") else DONE


class Connection(asyncio.Protocol):
    """One keep-alive connection; bodies are passed over as they come."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._head = b""
        self._left = 0
        self._line = self._start = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request; answer once its last byte is here."""
        if self._left:
            self._left -= len(data)
            self._start += data[: START - len(self._start)] if len(self._start) < START else b""
        else:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._line = head.partition(b"\r\n")[0]
            self._left = _content_length(head) - len(body)
            self._start = body[:START]
            self._head = b""
        if self._left <= 0:
            self._left = 0
            answer, delay = self._state.respond(self._line, self._start)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0


async def serve(picture: bytes) -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    state = State(picture)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    # select() sleeps to the microsecond, epoll to the millisecond: that would be a delay of 20.5 ms for calls that
    # come at any time, and of 20.0 for those of a client that makes one after the other.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(Path(sys.argv[1]).read_bytes()))
