"""Which server the commands talk to, and with which key."""

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
        help="The API's address, if it is not this home's: FACE_IMPORT_URL, or https://HOST[:PORT].",
        rich_help_panel="Server",
        show_default=False,
    ),
]
Key = Annotated[
    str,
    typer.Option(
        help="API key, for a server that wants one. FACE_IMPORT_API_KEY shows in no list of processes.",
        rich_help_panel="Server",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Server:
    """A server's base URL without a slash at its end, and a key or none."""

    url: str
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, key: str) -> Self:
        """The server the caller names, else the environment, else this home's stack.

        Raises:
            ConfigError: the URL or the key cannot be one.
        """
        settings = get_settings()
        url = url or settings.url or addresses(Stack(settings).settings)["API"]
        key = key or settings.api_key.get_secret_value()
        if not url.startswith(("http://", "https://")):
            raise ConfigError("--url: an address begins with http:// or https://")
        if not _has_host(url):
            raise ConfigError("--url: this is not the address of a server")
        if not (key.isascii() and all("!" <= c <= "~" for c in key)):
            raise ConfigError("--key: a key has visible ASCII characters only")
        return cls(url.rstrip("/"), key)

    @property
    def shown(self) -> str:
        """The URL without a password that may be in it."""
        return urlsplit(self.url)._replace(netloc=urlsplit(self.url).netloc.rpartition("@")[2]).geturl()

    def authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key on a request; as a hook, because requests lets ~/.netrc win over a plain header."""
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
