"""Which files of a place are photos, and why others are left out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from face_import.cli.photos.names import Pattern
from face_import.cli.photos.places import UNREADABLE, Entry, why
from face_import.cli.photos.table import Photo
from face_import.domain.formats import format_of, refusal, trimmed

_HEAD_BYTES, _CHUNK_BYTES = 1024, 2**18
_SHOWN = 3


class _LeftOut(Exception):
    """A file is no photo to import; the text is the reason, the same for all such files."""


@dataclass
class Collected:
    """Photos to import, and the paths of the files that are left out, by the reason for it."""

    photos: list[Photo] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def sentences(self) -> Iterator[str]:
        """How many photos there are, and a line for each reason with some of the files."""
        size = sum(photo.size for photo in self.photos)
        yield f"{_counted(len(self.photos), 'photo')}, {size / 10**6:.1f} MB"
        for reason, paths in self.left_out.items():
            shown = ", ".join(paths[:_SHOWN]) + ", ..." * (len(paths) > _SHOWN)
            yield f"left out {_counted(len(paths), 'file')} ({reason}): {shown}"


def collected(entries: Iterable[Entry], pattern: Pattern, max_bytes: int) -> Collected:
    """Read all files once, in pieces; of files with the same bytes the first is a photo.

    Args:
        entries: the files.
        pattern: how their names are read.
        max_bytes: size of the largest photo; no more is read of a larger one, whatever a zip file says of its size.
    """
    found, seen = Collected(), dict[bytes, str]()
    for entry in entries:
        try:
            photo = _photo(entry, pattern, max_bytes)
        except _LeftOut as error:
            found.left_out.setdefault(str(error), []).append(entry.path)
            continue
        if first := seen.get(photo.digest):
            found.left_out.setdefault("the same picture as another", []).append(f"{entry.path} = {first}")
            continue
        seen[photo.digest] = entry.path
        found.photos.append(photo)
    return found


def _photo(entry: Entry, pattern: Pattern, max_bytes: int) -> Photo:
    if entry.problem:
        raise _LeftOut(entry.problem)
    try:
        with entry.opened() as file:
            chunk = file.read(_HEAD_BYTES)
            if not (name := format_of(trimmed(chunk))):
                raise _LeftOut(str(refusal(chunk)))
            if not (labels := pattern.read(entry.path)):
                raise _LeftOut(f"the name is not of the form {pattern.text}")
            size, digest = 0, hashlib.sha256()
            while chunk:
                size += len(chunk)
                digest.update(chunk)
                if size > max_bytes:
                    raise _LeftOut(f"larger than {max_bytes} bytes")
                chunk = file.read(_CHUNK_BYTES)
    except UNREADABLE as error:
        raise _LeftOut(f"cannot be read: {why(error)}") from None
    return Photo(entry, name, labels, size, digest.digest())


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
