"""Where a source may be fetched from: http(s), and what an operator has opened by a prefix."""

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
"""The safe fetcher: a stream of a page's body, or an error of its own."""

_HTTP = {"http", "https"}
_LOCAL = {"file", "local"}
_NEVER_IN_A_URL = re.compile(r"::|[\\?#\x00-\x20\x7f]")
_ENCODED_TRICK = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)


@contextmanager
def open_source(url: str, settings: Settings, open_http: OpenHttp) -> Iterator[BinaryIO]:
    """Open the source a URL names, if it may be.

    http(s) goes through `open_http`, which does the checking there. Any other URL has to lie under
    one of `settings.source_prefixes`, compared after normalising, and must not use what file systems
    read in ways of their own: chained fsspec URLs, queries, `.` and `..`, encoded separators.

    Args:
        url: as the client gave it.
        settings: for its `source_prefixes`.
        open_http: opens http(s) URLs.

    Raises:
        SourceError: the URL is not allowed; the text tells what is.
        SourceMissing: there is no readable file.
        ConfigError: the prefix is allowed, but its file system's package is not installed.
    """
    url = url.strip()
    parts = _split(url)
    if parts.scheme in _HTTP:
        with open_http(url) as stream:
            yield stream
        return
    prefix = _prefix_of(url, parts, settings)
    opener = _open_local if parts.scheme in _LOCAL else _open_remote
    try:
        stream = opener(parts, prefix)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise SourceMissing(f"{redact(url)} cannot be opened: {error.strerror or 'no such file'}") from None
    with stream:
        yield stream


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise SourceError(f"{redact(url)} is not a URL") from None


def _prefix_of(url: str, parts: SplitResult, settings: Settings) -> SplitResult:
    """The prefix a URL lies under."""
    segments = unquote(parts.path).split("/")
    if not (_NEVER_IN_A_URL.search(url) or _ENCODED_TRICK.search(url) or {".", ".."} & set(segments)):
        for prefix in map(urlsplit, settings.source_prefixes):
            folder = prefix.path.rstrip("/") + "/"
            same_place = (prefix.scheme, prefix.netloc) == (parts.scheme, parts.netloc)
            if same_place and parts.path.startswith(folder) and parts.path != folder:
                return prefix
    allowed = " or ".join(("an http:// or https:// URL", *(f"one under {p}" for p in settings.source_prefixes)))
    raise SourceError(f"{redact(url)!r} is not allowed; a source is {allowed}")


def _open_local(parts: SplitResult, prefix: SplitResult) -> BinaryIO:
    """Open a regular file that really lies under the prefix.

    Links are resolved before the comparison, and the file opened is the one compared.
    """
    path = Path(unquote(parts.path)).resolve(strict=True)
    if not path.is_relative_to(Path(unquote(prefix.path)).resolve()):
        raise SourceError(f"{redact(parts.geturl())} is not allowed: it is a link to a place outside {prefix.geturl()}")
    # Not blocking, because the opening of a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{redact(parts.geturl())} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _open_remote(parts: SplitResult, _prefix: SplitResult) -> BinaryIO:
    fs, path = file_system(parts.geturl())
    with as_os_error():
        return cast("BinaryIO", fs.open(path, "rb"))
