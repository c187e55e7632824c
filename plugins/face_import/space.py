"""Room on the disks of this home and of its storage: below a mark nothing new begins (design decision 20).

The room below the mark is for what is in progress: outcomes, leases, a stop. Nothing has to be told that there is room
again: whoever waits looks again.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from face_import.settings import Settings

MARK_BYTES = 256 * 2**20
"""More than both databases write while a thousand rows in progress end, their logs of changes included."""
MARK_FILES = 1000
SHARE = 10
"""On a small disk a tenth of it is the mark, unless a setting says otherwise."""
_MIB = 2**20


def shortage(settings: Settings, *, needed: int = 0) -> str:
    """Why nothing new may begin: a sentence for people, empty if there is room.

    Args:
        settings: where the state is, and the mark.
        needed: bytes that what is about to begin will write.
    """
    if settings.min_free_bytes == 0:
        return ""
    return next(filter(None, (_shortage(name, path, settings, needed) for name, path in _disks(settings))), "")


def _disks(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "FACE_IMPORT_HOME", settings.home
    storage = urlsplit(settings.storage_root)
    if storage.scheme in {"", "file"}:
        yield "FACE_IMPORT_STORAGE_URL", Path(unquote(storage.path))


def _shortage(name: str, folder: Path, settings: Settings, needed: int) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    disk = os.statvfs(existing)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    mark = settings.min_free_bytes or min(MARK_BYTES, size // SHARE)
    if free < mark:
        setting = f"{_size(mark)} (FACE_IMPORT_MIN_FREE_BYTES)"
        return f"the disk of {name} is almost full: {_size(free)} free, less than {setting}"
    if free < mark + needed:
        return f"the disk of {name} has no room for this: {_size(free)} free, of which {_size(mark)} are kept free"
    if disk.f_files and disk.f_favail < min(MARK_FILES, disk.f_files // SHARE):
        return f"the disk of {name} can take no more files: {disk.f_favail} inodes free"
    return ""


def _size(number: int) -> str:
    return f"{number / _MIB:.0f} MiB" if number >= 10 * _MIB else f"{number / _MIB:.1f} MiB"
