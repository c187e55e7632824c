"""Files on any fsspec file system, written atomically."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import fsspec  # type: ignore[import-untyped]  # fsspec ships no types
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from face_import.errors import ConfigError
from face_import.private import replacing

PART_BYTES = 16 * 2**20
"""Size of an upload's parts, each held in memory until it is sent. S3 allows 10,000 parts: sources up to 156 GiB."""


def file_system(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """File system and path of an fsspec URL.

    Listings are not cached: other processes write here too. A `file:` URL is decoded first, which
    fsspec does not do: `Path.as_uri()` writes a space as %20.

    Raises:
        ConfigError: the file system is unknown, or its package is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalFileSystem(), unquote(parts.path)
    try:
        return cast("tuple[fsspec.AbstractFileSystem, str]", fsspec.url_to_fs(url, use_listings_cache=False))
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{parts.scheme}: URLs cannot be opened: {error}") from None


def load_file_system(url: str) -> None:
    """Import a URL's file system, which takes a second for S3; opens nothing and starts no thread."""
    with suppress(ImportError, ValueError):
        fsspec.get_filesystem_class(urlsplit(url).scheme)


@contextmanager
def as_os_error() -> Iterator[None]:
    """Convert errors of a file system's library to `OSError`.

    Most already are. An unavailable server or missing credentials are errors of botocore's own.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


@contextmanager
def writing(fs: fsspec.AbstractFileSystem, path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` if and only if the block succeeds.

    A local file is readable by its owner only, and synced to disk before it gets its name. For an object store it is
    one upload, which becomes visible when it is finished.
    """
    file = _local_file(Path(path)) if isinstance(fs, LocalFileSystem) else _remote_file(fs, path)
    with file as sink:
        yield sink


@contextmanager
def _local_file(path: Path) -> Iterator[BinaryIO]:
    for folder in (path.parents[2], path.parents[1], path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as file:
        yield file


@contextmanager
def _remote_file(fs: fsspec.AbstractFileSystem, path: str) -> Iterator[BinaryIO]:
    with as_os_error():
        remote = fs.open(path, "wb", autocommit=False, block_size=PART_BYTES)
    try:
        yield cast("BinaryIO", _Sink(remote))
        with as_os_error():
            remote.close()
    except BaseException:
        remote.forced = True  # or its finalizer would start an upload that nobody completes
        with as_os_error():
            remote.discard()
        raise
    with as_os_error():
        remote.commit()


class _Sink:
    """A remote file for writing; its errors are the storage's, not the source's."""

    def __init__(self, remote: BinaryIO) -> None:
        self._remote = remote

    def write(self, data: bytes) -> int:
        with as_os_error():
            return self._remote.write(data)
