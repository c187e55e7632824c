"""Connections to image hosts: to checked addresses, and with forgiveness for what hosts do to HTTP."""

from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from face_import.clients.addresses import AddressGuard
from face_import.clients.hosts import tls_context
from face_import.settings import Settings

_END = b"\r\n\r\n"


class ImageConnector(aiohttp.TCPConnector):
    """Connections of one shard. Belongs to the running event loop.

    Args:
        settings: connections per host, a private CA, whether there is a proxy.
        guard: checks each address; with a proxy all connections lead to it, whose address is the operator's choice.

    Raises:
        ConfigError: the file of the private CA cannot be used.
    """

    def __init__(self, settings: Settings, guard: AddressGuard) -> None:
        super().__init__(
            limit=0,
            limit_per_host=settings.fetch_per_host,
            ttl_dns_cache=300,
            ssl=tls_context(settings.ca_file) or True,
            socket_factory=None if settings.fetch_proxy.get_secret_value() else guard.socket,
        )
        self._factory = cast("partial[ResponseHandler]", partial(_Forgiving, loop=self._loop))


class _Forgiving(ResponseHandler):
    """Takes an answer that is chunked and has a length, which aiohttp's parser refuses: the length does not count.

    RFC 9112, section 6.3, says so, and to close the connection afterwards.
    """

    _begins = False

    def set_response_params(self, **params: Any) -> None:
        """Get ready for an answer."""
        self._begins = True
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes of an answer, and hand everything on."""
        if self._begins:
            self._begins = False
            end = max(data.find(_END), 0)
            head = data[:end].lower()
            if b"\r\ntransfer-encoding:" in head and b"\r\ncontent-length:" in head:
                lines = [line for line in data[:end].split(b"\r\n") if not line.lower().startswith(b"content-length:")]
                data = b"\r\n".join(lines) + data[end:]
                self.force_close()
        super().data_received(data)
