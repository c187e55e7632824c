"""The server that commands talk to, and the API key."""

from dataclasses import dataclass, field
from typing import Annotated, Self
from urllib.parse import urlsplit

import requests
import typer

from face_import.errors import ConfigError
from face_import.settings import get_settings
from face_import.stack.lifecycle import Stack
from face_import.stack.supervisor import addresses

Url = Annotated[
    str,
    typer.Option(
        help="API address, https://HOST[:PORT]. Default: FACE_IMPORT_URL, else this home's stack.",
        rich_help_panel="Server",
        show_default=False,
    ),
]
Key = Annotated[
    str,
    typer.Option(
        help="API key, if required. Prefer FACE_IMPORT_API_KEY: options show in process lists.",
        rich_help_panel="Server",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Server:
    """A server's base URL without a trailing slash, and an optional key."""

    url: str
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, key: str) -> Self:
        """The server given on the command line, else by the environment, else this home's stack.

        Raises:
            ConfigError: the URL or the key is invalid.
        """
        settings = get_settings()
        url = url or settings.url or addresses(Stack(settings).settings)["API"]
        key = key or settings.api_key.get_secret_value()
        if not url.startswith(("http://", "https://")):
            raise ConfigError("--url: must start with http:// or https://")
        if not _has_host(url):
            raise ConfigError("--url: not a valid server address")
        if not (key.isascii() and all("!" <= c <= "~" for c in key)):
            raise ConfigError("--key: only visible ASCII characters are allowed")
        return cls(url.rstrip("/"), key)

    @property
    def shown(self) -> str:
        """The URL without credentials."""
        return urlsplit(self.url)._replace(netloc=urlsplit(self.url).netloc.rpartition("@")[2]).geturl()

    def authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the key to a request; a hook, because requests lets ~/.netrc override a plain header."""
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
