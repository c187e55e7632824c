"""Where sources may be opened: http(s), and URLs under the operator's prefixes."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import SplitResult, unquote, urlsplit

from face_import.domain.uri import redact
from face_import.errors import SourceError, SourceMissing
from face_import.settings import Settings
from face_import.sources.files import as_os_error, file_system

OpenHttp = Callable[[str], AbstractContextManager[BinaryIO]]
"""The safe fetcher: returns a stream of a response's body, or raises its own errors."""

_HTTP = {"http", "https"}
_LOCAL = {"file", "local"}
_NEVER_IN_A_URL = re.compile(r"::|[\\?#\x00-\x20\x7f]")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_ENCODED_TRICK = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)


@contextmanager
def open_source(url: str, settings: Settings, open_http: OpenHttp) -> Iterator[BinaryIO]:
    """Open the source at a URL, if it is allowed.

    http(s) goes through `open_http`, which does its own checks. Any other URL must be under one of
    `settings.source_prefixes`, compared after normalising, and must not use what file systems interpret in their own
    ways: chained fsspec URLs, queries, `.` and `..`, encoded separators.

    Args:
        url: as given by the client.
        settings: for its `source_prefixes`.
        open_http: opens http(s) URLs.

    Raises:
        SourceError: the URL is not allowed; the text lists what is.
        SourceMissing: there is no readable file.
        ConfigError: the prefix is allowed, but its file system's package is not installed.
    """
    url = url.strip()
    parts, prefix = _checked(url, settings)
    if prefix is None:
        with open_http(url) as stream:
            yield stream
        return
    opener = _open_local if parts.scheme in _LOCAL else _open_remote
    try:
        stream = opener(parts, prefix)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise SourceMissing(f"{redact(url)} cannot be opened: {error.strerror or 'no such file'}") from None
    with stream:
        yield stream


def check_source(url: str, settings: Settings) -> None:
    """Check that `open_source` would try to open a URL, without opening it.

    Raises:
        SourceError: the URL is malformed or not allowed; the text lists what is.
    """
    if _BLANK.search(url):
        raise SourceError(
            f"{redact(url)!r} is not a URL: it contains a space or a control character; percent-encode it"
        )
    parts, prefix = _checked(url, settings)
    if prefix is None and not parts.hostname:
        raise SourceError(f"{redact(url)!r} has no host")


def _checked(url: str, settings: Settings) -> tuple[SplitResult, SplitResult | None]:
    """The parts of a URL, and the prefix that it is under, or None for http(s)."""
    parts = _split(url)
    return parts, None if parts.scheme in _HTTP else _prefix_of(url, parts, settings)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise SourceError(f"{redact(url)} is not a URL") from None


def _prefix_of(url: str, parts: SplitResult, settings: Settings) -> SplitResult:
    """The prefix that a URL is under."""
    segments = unquote(parts.path).split("/")
    if not (_NEVER_IN_A_URL.search(url) or _ENCODED_TRICK.search(url) or {".", ".."} & set(segments)):
        for prefix in map(urlsplit, settings.source_prefixes):
            folder = prefix.path.rstrip("/") + "/"
            same_place = (prefix.scheme, prefix.netloc) == (parts.scheme, parts.netloc)
            if same_place and parts.path.startswith(folder) and parts.path != folder:
                return prefix
    allowed = " or ".join(("an http:// or https:// URL", *(f"one under {p}" for p in settings.source_prefixes)))
    raise SourceError(f"{redact(url)!r} is not allowed; a source must be {allowed}")


def _open_local(parts: SplitResult, prefix: SplitResult) -> BinaryIO:
    """Open a regular file that really is under the prefix.

    Links are resolved before the comparison, and the file opened is the one compared.
    """
    path = Path(unquote(parts.path)).resolve(strict=True)
    if not path.is_relative_to(Path(unquote(prefix.path)).resolve()):
        raise SourceError(f"{redact(parts.geturl())} is not allowed: it links to a place outside {prefix.geturl()}")
    # Non-blocking: opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{redact(parts.geturl())} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _open_remote(parts: SplitResult, _prefix: SplitResult) -> BinaryIO:
    fs, path = file_system(parts.geturl())
    with as_os_error():
        return cast("BinaryIO", fs.open(path, "rb"))
