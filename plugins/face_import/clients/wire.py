"""Connections of a source's download: to checked addresses, by a deadline, with URLs as they stand."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util import parse_url
from yarl import URL

from face_import.clients.addresses import AddressError, AddressGuard
from face_import.clients.transfer import FetchError
from face_import.contract import Reason


@dataclass(slots=True)
class Wire:
    """What the connections of a download share.

    Attributes:
        proxied: whether they lead to a proxy, whose address is the operator's choice.
        path: path and query of the request under way, as they stand in its URL; urllib3 would quote them again.
    """

    guard: AddressGuard
    deadline: "Deadline"
    proxied: bool
    path: str = ""

    def aim(self, url: URL) -> None:
        """Get ready for the request of a URL.

        Raises:
            FetchError: a proxy is to be asked for an address that may not be reached.
        """
        self.path = url.raw_path_qs
        if not self.proxied:
            return
        try:
            entries = socket.getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return  # only the proxy knows the name
        for entry in entries:
            try:
                self.guard.check(str(entry[4][0]))
            except AddressError as error:
                raise FetchError(str(error), Reason.REFUSED_ADDRESS) from None


class Deadline:
    """Cuts all connections of a download off when its time is over.

    A socket's timeout starts again with every byte. So a timer shuts the sockets down, whether a status line, a header
    or a chunk is being read. It uses duplicates, because TLS takes over the original ones.

    Args:
        seconds: from entering the block on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut_off)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()

    def watch(self, sock: socket.socket) -> None:
        """Cut this connection off too.

        Raises:
            FetchError: the time is over already.
        """
        with self._lock:
            self.check()
            self._sockets.append(sock.dup())

    def check(self) -> None:
        """Refuse to continue, or to mistake a lost connection for the end of the body.

        Raises:
            FetchError: the time is over.
        """
        if self._passed:
            raise FetchError(
                f"not read to its end within {self._seconds:g} s (FACE_IMPORT_SOURCE_TIMEOUT_S)", Reason.TIMEOUT
            )

    def _cut_off(self) -> None:
        with self._lock:
            self._passed = True
            for sock in self._sockets:
                with suppress(OSError):  # closed by the other side
                    sock.shutdown(socket.SHUT_RDWR)


class _Guarded(HTTPConnection):
    """A connection that checks each address it is about to use, and ends with the deadline."""

    def __init__(self, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = wire

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Send the request line."""
        if method == "GET":  # not a proxy's CONNECT
            origin = url[: -len(parse_url(url).request_uri)] if url.startswith("http") else ""
            url = f"{origin}{self._wire.path}"
        super().putrequest(method, url, *args, **kwargs)

    def _new_conn(self) -> socket.socket:
        try:
            entries = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from None
        failure: OSError = OSError("no address")
        for entry in entries:
            try:
                return self._connected(entry)
            except OSError as error:
                failure = error
        if isinstance(failure, AddressError):  # not an error urllib3 would try again
            raise FetchError(str(failure), Reason.REFUSED_ADDRESS)
        why = failure.strerror or "no connection in time"
        raise NewConnectionError(self, f"{self.host}:{self.port}: {why}") from failure

    def _connected(self, entry: tuple[Any, ...]) -> socket.socket:
        sock = socket.socket(*entry[:3]) if self._wire.proxied else self._wire.guard.socket(cast("Any", entry))
        try:
            sock.settimeout(self.timeout)
            sock.connect(entry[4])
            self._wire.deadline.watch(sock)
        except BaseException:
            sock.close()
            raise
        return sock


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same under TLS: `HTTPSConnection.connect` wraps the socket of `_new_conn`."""


class HttpPool(urllib3.HTTPConnectionPool):
    """Connections to one host."""

    ConnectionCls = _Guarded


class HttpsPool(urllib3.HTTPSConnectionPool):
    """Connections to one host, under TLS."""

    ConnectionCls = _GuardedTls
