"""A web server on loopback that answers bytes of one's choice, and writes down what it was asked."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Evil"], Iterable[bytes]]


class Evil:
    """What was asked (path and headers, in order), the bodies of POSTs, and where."""

    def __init__(self, address: str, scheme: str = "http") -> None:
        self.address = address
        self.scheme = scheme
        self.port = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: list[bytes] = []

    def url(self, path: str = "/", *, host: str = "", user: str = "") -> str:
        """A URL of it."""
        return f"{self.scheme}://{user}{host or self.address}:{self.port}{path}"


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Status line and headers."""
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "Connection: close", "", "")).encode()


def redirect(to: str) -> bytes:
    """A redirect."""
    return head(f"Location: {to}", "Content-Length: 0", status="302 Found")


@contextmanager
def evil(answer: Answer, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Evil]:
    """Serve what `answer` yields, whatever is asked, until the client has had enough."""
    server = Evil(address, "https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.close_connection = True
            try:
                for piece in answer(server):
                    self.wfile.write(piece)
            except OSError:
                pass  # the client has hung up

        def do_POST(self) -> None:
            server.sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    listener = ThreadingHTTPServer((address, 0), Handler)
    listener.daemon_threads = True
    if tls:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
