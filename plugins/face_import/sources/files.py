"""Files on whatever fsspec reaches: which file system a URL names, and files that appear whole or not at all."""

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
"""Size of an upload's parts, each held in memory until it is sent. S3 takes 10,000: sources up to 156 GiB."""


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
    """Import what a URL's file system needs, a second's work for S3; opens nothing and starts no thread."""
    with suppress(ImportError, ValueError):
        fsspec.get_filesystem_class(urlsplit(url).scheme)


@contextmanager
def as_os_error() -> Iterator[None]:
    """Raise what a file system's own library raises as `OSError`.

    Most of it is one already. That a server does not answer, or that there are no credentials, is botocore's own.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


@contextmanager
def writing(fs: fsspec.AbstractFileSystem, path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and only then.

    On a local disk it is for its owner only, and on the disk before it gets its name. Object stores get one upload,
    which becomes visible when it is finished.
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
        remote.forced = True  # or its finalizer would find it open, and begin an upload that nobody ends
        with as_os_error():
            remote.discard()
        raise
    with as_os_error():
        remote.commit()


class _Sink:
    """The writing side of a remote file; its failures are the storage's, and not those of what is written."""

    def __init__(self, remote: BinaryIO) -> None:
        self._remote = remote

    def write(self, data: bytes) -> int:
        with as_os_error():
            return self._remote.write(data)
