"""Who may ask: no foreign Host, no other site's browser page, no open port without keys (design decision 17)."""

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
"""On every answer that does not set them itself: no browser is to show, keep or guess at what is data."""


class Forbidden(RequestError):
    """A request that a browser was talked into, or that came under another name."""

    status = 403
    code = "forbidden"


def refuse_open_bind(settings: Settings) -> None:
    """Refuse to serve other machines without API keys.

    Raises:
        ConfigError: the bind address is not a loopback one, and there are no keys.
    """
    if not _is_loopback(settings.bind) and not has_keys(settings):
        raise ConfigError(
            f"FACE_IMPORT_BIND: {settings.bind} is not a loopback address, and there are no API keys; "
            "set FACE_IMPORT_API_KEYS_FILE, then face-import keys add NAME"
        )


def register(app: Flask, settings: Settings) -> None:
    """Check every request's Host and, where a browser sent it, its origin."""
    names = {"localhost", settings.bind, *settings.allowed_hosts}

    @app.before_request
    def check() -> None:
        host = _hostname(request.host)
        if host not in names and not _is_loopback(host):
            raise Forbidden(f"this API is not served as {host!r}; see FACE_IMPORT_ALLOWED_HOSTS")
        if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} and not _is_link_to_page():
            raise Forbidden("requests from other sites' pages are refused")
        origin = request.headers.get("Origin")
        if origin and _netloc(origin) != request.host:
            raise Forbidden(f"requests from pages of {origin[:200]} are refused")

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _is_link_to_page() -> bool:
    """Whether a person follows a link to a page of the console, which any site may have."""
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
