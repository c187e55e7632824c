"""When there is room on the disks, and what is said when there is none."""

from collections import namedtuple
from pathlib import Path

import pytest

from face_import import space
from face_import.settings import Settings
from face_import.space import MARK_BYTES, MARK_FILES, shortage

GIB, MIB = 2**30, 2**20
Disk = namedtuple("Disk", "f_bavail f_blocks f_frsize f_favail f_files")  # noqa: PYI024 - as the system's own


def disk(free: int, size: int, *, files_free: int = 10**6, files: int = 10**7) -> Disk:
    """What the system says about a file system of 4-kB blocks."""
    return Disk(free // 4096, size // 4096, 4096, files_free, files)


@pytest.mark.parametrize(
    ("mark", "seen", "told"),
    [
        (None, disk(MARK_BYTES, 100 * GIB), ""),
        (None, disk(MARK_BYTES - 4096, 100 * GIB), "256 MiB free, less than 256 MiB (FACE_IMPORT_MIN_FREE_BYTES)"),
        (None, disk(10 * MIB, 100 * MIB), ""),
        (None, disk(9 * MIB, 100 * MIB), "9.0 MiB free, less than 10 MiB"),
        (5 * GIB, disk(4 * GIB, 100 * GIB), "4096 MiB free, less than 5120 MiB"),
        (0, disk(0, 100 * GIB), ""),
        (None, disk(GIB, 100 * GIB, files_free=MARK_FILES - 1), "999 inodes free"),
        (None, disk(GIB, 100 * GIB, files_free=200, files=2000), ""),
        (None, disk(GIB, 100 * GIB, files_free=0, files=0), ""),
    ],
    ids=["at-mark", "below", "small-disk", "small-disk-below", "own-mark", "off", "inodes", "few-inodes", "no-inodes"],
)
def test_the_mark(monkeypatch: pytest.MonkeyPatch, settings: Settings, mark: int | None, seen: Disk, told: str) -> None:
    """A setting, or a default that leaves room on a small disk too; some file systems count no inodes."""
    monkeypatch.setattr(space.os, "statvfs", lambda _: seen)
    said = shortage(settings.model_copy(update={"min_free_bytes": mark}))
    assert told in said
    assert bool(told) == bool(said)


def test_what_is_about_to_be_written_counts(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """An upload that would go below the mark is no better than one that finds it there."""
    monkeypatch.setattr(space.os, "statvfs", lambda _: disk(GIB, 100 * GIB))
    assert shortage(settings, needed=GIB - MARK_BYTES) == ""
    assert "no room for this" in shortage(settings, needed=GIB - MARK_BYTES + 4096)


def test_a_local_storage_is_a_disk_too(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    """The home has room, the storage has none; an object store is not looked at."""
    full = tmp_path / "full %"
    full.mkdir()
    monkeypatch.setattr(space.os, "statvfs", lambda path: disk(0 if path == full else GIB, 100 * GIB))
    assert "FACE_IMPORT_STORAGE_URL" in shortage(settings.model_copy(update={"storage_url": f"{full.as_uri()}/later"}))
    assert shortage(settings.model_copy(update={"storage_url": "s3://bucket/faces"})) == ""
