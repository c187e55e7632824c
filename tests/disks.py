"""Small disks of a test's own, and filling them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, *, size: int, files: int, owner: int | None = None) -> Iterator[Path]:
    """An empty file system in memory at `folder`; skips the test where mounting is not allowed.

    Args:
        folder: an empty one.
        size: bytes it has room for.
        files: inodes it has.
        owner: user whose it is, by default this one.
    """
    options = f"size={size},nr_inodes={files},mode=0700,uid={os.getuid() if owner is None else owner}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system of 100 MB cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> None:
    """Write until there is not a byte left."""
    with (disk / BALLAST).open("ab", buffering=0) as file, suppress(OSError):
        for piece in (2**20, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(piece)):
                    pass


def fill_with_files(disk: Path) -> None:
    """Create files until there is no inode left."""
    folder = disk / f"{BALLAST}-files"
    folder.mkdir()
    with suppress(OSError):
        for number in range(10**6):
            (folder / str(number)).touch()


def make_room(disk: Path) -> None:
    """Remove what `fill` and `fill_with_files` have written."""
    (disk / BALLAST).unlink(missing_ok=True)
    folder = disk / f"{BALLAST}-files"
    if folder.exists():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
