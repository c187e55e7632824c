"""Request guards: no foreign Host, no requests from other sites, no open port without keys (design decision 17)."""

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from api_shim.access import has_keys
from face_import.errors import ConfigError, RequestError
from face_import.settings import Settings

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Defaults for every response: browsers must not render, cache or sniff data."""


class Forbidden(RequestError):
    """A cross-site request, or one for another host name."""

    status = 403
    code = "forbidden"


def refuse_open_bind(settings: Settings) -> None:
    """Refuse to serve other machines without API keys.

    Raises:
        ConfigError: the bind address is not loopback, and there are no keys.
    """
    if not _is_loopback(settings.bind) and not has_keys(settings):
        raise ConfigError(
            f"FACE_IMPORT_BIND: {settings.bind} is not a loopback address, and there are no API keys; "
            "set FACE_IMPORT_API_KEYS_FILE, then run face-import keys add NAME"
        )


def register(app: Flask, settings: Settings) -> None:
    """Check every request's Host and, if a browser sent it, its origin."""
    names = {"localhost", settings.bind, *settings.allowed_hosts}

    @app.before_request
    def check() -> None:
        host = _hostname(request.host)
        if host not in names and not _is_loopback(host):
            raise Forbidden(f"host {host!r} is not allowed; see FACE_IMPORT_ALLOWED_HOSTS")
        if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} and not _is_link_to_page():
            raise Forbidden("cross-site requests are not allowed")
        origin = request.headers.get("Origin")
        if origin and _netloc(origin) != request.host:
            raise Forbidden(f"requests from pages of {origin[:200]} are not allowed")

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _is_link_to_page() -> bool:
    """Whether a link to a page of the console is followed, which any site may have."""
    navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method in {"GET", "HEAD"}
    return navigates and not request.path.startswith("/v1/")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
