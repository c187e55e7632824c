"""Files for their owner's eyes only, from their first byte on, that are there whole or not at all."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path`, in place of any other, when the block ends well: on the disk, and only then."""
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Replace a file."""
    with replacing(path) as file:
        file.write(text.encode())


def write_once(path: Path, text: str) -> None:
    """Make a file, unless it is there: of several processes that do so at a time the first one's text counts."""
    if not path.exists():
        new = path.with_name(f"{path.name}.{uuid4().hex}.new")
        write_private(new, text)
        with suppress(FileExistsError):
            os.link(new, path)
        new.unlink()
    if stat.S_IMODE(path.stat().st_mode) != 0o600:
        path.chmod(0o600)
