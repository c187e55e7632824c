"""A web server on loopback for the demo's pictures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def picture_host(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve the files, by name, on a free port; yields the URL, without a trailing slash."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = files.get(self.path.removeprefix("/"))
            self.send_response(HTTPStatus.NOT_FOUND if data is None else HTTPStatus.OK)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Log nothing: the terminal belongs to the demo."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
