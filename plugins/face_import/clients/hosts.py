"""What the operator configures for hosts: request headers, and a private CA."""

import re
import ssl
from pathlib import Path
from typing import NamedTuple

import yaml
from yarl import URL

from face_import.errors import ConfigError

_ORIGIN = re.compile(r"(https?)://(\*|(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?/?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{1,8192}")
_OURS = re.compile(
    r"host|connection|content-.*|transfer-encoding|trailer|upgrade|expect|accept-encoding|range|if-.*|proxy-.*"
)
"""Headers that belong to how a request is made."""
_SECRET = {"authorization", "cookie"}
_READABLE_BY_OTHERS = 0o077


class _Rule(NamedTuple):
    """Headers for the hosts of one pattern."""

    scheme: str
    port: int
    host: str
    headers: dict[str, str]

    def covers(self, url: URL) -> bool:
        if (url.scheme, url.port) != (self.scheme, self.port):
            return False
        host = url.host_subcomponent or ""
        return self.host in {"*", host} or (self.host.startswith("*.") and host.endswith(self.host[1:]))


class HostHeaders:
    """Headers that go to the hosts they were configured for, and nowhere else.

    Args:
        path: YAML, an object for each origin (setting `fetch_headers_file`); None for no headers.

    Raises:
        ConfigError: the file cannot be used; says why.
    """

    def __init__(self, path: Path | None) -> None:
        self._rules = _rules(path) if path else []

    def of(self, url: URL) -> dict[str, str]:
        """Return the headers for a URL; those of a more specific pattern win."""
        if not self._rules:
            return {}
        return {name: value for rule in self._rules if rule.covers(url) for name, value in rule.headers.items()}


def tls_context(ca_file: Path | None) -> ssl.SSLContext | None:
    """Return how to check hosts' certificates: by the system's authorities and one's own; None for only the former.

    Raises:
        ConfigError: the file has no certificate.
    """
    if ca_file is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"FACE_IMPORT_CA_FILE: cannot read {ca_file}: {why}") from None
    return context


def _rules(path: Path) -> list[_Rule]:
    try:
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            raise _invalid(path, f"others may read it; it may contain secrets: chmod 600 {path}")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(path, f"cannot read it: {error.strerror}") from None
    except (yaml.YAMLError, ValueError):
        raise _invalid(path, "not YAML") from None
    if not isinstance(content, dict):
        raise _invalid(path, "must have an object of headers for each origin, such as https://images.example.com")
    rules = [_rule(path, str(origin), headers) for origin, headers in content.items()]
    return sorted(rules, key=lambda rule: (not rule.host.startswith("*"), len(rule.host)))


def _rule(path: Path, origin: str, headers: object) -> _Rule:
    parts = _ORIGIN.fullmatch(origin)
    if parts is None or int(parts[3] or 1) not in range(1, 65536):
        raise _invalid(
            path, f"{origin[:100]!r} is not an origin such as https://images.example.com or http://*.lan:8080"
        )
    if not isinstance(headers, dict):
        raise _invalid(path, f"{origin}: must have an object of headers")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or _OURS.fullmatch(name.lower()):
            raise _invalid(path, f"{origin}: {str(name)[:100]!r} is not a header that can be set")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise _invalid(path, f"{origin}: the value of {name} must be a text in one line")
        if name.lower() in _SECRET and parts[2] == "*":
            raise _invalid(path, f"{origin}: {name} must name its hosts, or every host would get it")
    scheme = parts[1].lower()
    port = int(parts[3] or (443 if scheme == "https" else 80))
    return _Rule(scheme, port, parts[2].lower(), {name.title(): value for name, value in headers.items()})


def _invalid(path: Path, why: str) -> ConfigError:
    return ConfigError(f"FACE_IMPORT_FETCH_HEADERS_FILE: {path}: {why}")
