"""What a reverse proxy in front changes: the path under which the application is reached, and clients' addresses."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from face_import.errors import ConfigError
from face_import.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def register(app: Flask, settings: Settings) -> None:
    """Serve the application under the path of `FACE_IMPORT_PUBLIC_URL`, and believe the named proxies."""
    app.wsgi_app = UnderPath(Forwarded(app.wsgi_app, settings.trusted_proxies), settings.public_path)  # type: ignore[method-assign]


def refuse_own_path(app: Flask, settings: Settings) -> None:
    """Refuse a public path that the application has itself: nobody could tell whether a proxy has taken it off.

    Raises:
        ConfigError: the first part of the path is that of one of our addresses.
    """
    first = settings.public_path.split("/")[1:2]
    if any(rule.rule.split("/")[1:2] == first for rule in app.url_map.iter_rules()):
        raise ConfigError(f"FACE_IMPORT_PUBLIC_URL: the application has /{first[0]} itself; choose another path")


class UnderPath:
    """WSGI middleware for an application under a path, whether the proxy takes it off or leaves it.

    Requests that do not come through the proxy have none; what they are answered leads under the path.

    Args:
        app: the application.
        path: empty, or such as `/faces`.
    """

    def __init__(self, app: "WSGIApplication", path: str) -> None:
        self._app = app
        self._path = path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle a request."""
        environ["SCRIPT_NAME"] = self._path
        rest = environ["PATH_INFO"].removeprefix(self._path)
        if not rest or rest.startswith("/"):
            environ["PATH_INFO"] = rest or "/"
        return self._app(environ, start_response)


class Forwarded:
    """WSGI middleware that takes the client's address from X-Forwarded-For, if a named proxy sent the request.

    Args:
        app: the application.
        proxies: their addresses or networks.
    """

    def __init__(self, app: "WSGIApplication", proxies: Iterable[str]) -> None:
        self._app = app
        self._behind = ProxyFix(app, x_for=1, x_proto=0, x_host=0)
        self._proxies = [ip_network(proxy) for proxy in proxies]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle a request."""
        app = self._behind if self._is_proxy(environ.get("REMOTE_ADDR", "")) else self._app
        return app(environ, start_response)

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._proxies)
