"""Where photos are: the files of a folder, or the members of a zip file, which is never unpacked."""

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import IO

from face_import.cli.photos.names import normalized
from face_import.domain.charsets import codec_of
from face_import.errors import InvalidRequest, SourceError
from face_import.sources.sample import Undecided, chosen_encoding

HIDDEN = "hidden, or a file of the system"
_DAMAGED = (EOFError, zipfile.BadZipFile, zlib.error, LZMAError)
UNREADABLE = (OSError, RuntimeError, *_DAMAGED)
"""What reading raises; of a member of a zip file also what Python cannot unpack (a RuntimeError)."""
_OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r"}
_ENCRYPTED, _UTF8, _UNIX = 0x1, 0x800, 3
_NO_TEXT = "its name cannot be read as text"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a place.

    Attributes:
        path: relative to it, with slashes.
        opened: opens it for reading.
        problem: why it cannot be a photo, if that is known without reading it.
    """

    path: str
    opened: Callable[[], IO[bytes]]
    problem: str = ""


@contextmanager
def entries(place: Path, encoding: str) -> Iterator[Iterator[Entry]]:
    """The files of a folder or zip file, in the order of their paths; they can be read until the context ends.

    Args:
        place: the folder or zip file.
        encoding: of the names in a zip file that do not say it; empty to have it recognised.

    Raises:
        InvalidRequest: it is neither, the zip file is damaged, or its names can be read in several ways.
        OSError: it cannot be read.
    """
    if place.is_dir():
        yield _files(place)
        return
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"--photos: {place} is neither a folder nor a readable zip file: {error}") from None
    with closing(archive):
        yield _members(archive, encoding)


def _files(root: Path) -> Iterator[Entry]:
    """Files of a folder and those below it; hidden folders and links to folders are entries without content."""
    within, left = root.resolve(), [root]
    while left:
        path = left.pop()
        if path != root and _is_hidden(path.name):
            yield _entry(root, path, HIDDEN)
        elif path == root or (path.is_dir() and not path.is_symlink()):
            try:
                left += [path / name for name in sorted(os.listdir(path), reverse=True)]  # noqa: PTH208 - names, not paths
            except OSError as error:
                yield _entry(root, path, f"a folder that cannot be read: {error.strerror}")
        else:
            yield _entry(root, path, _problem(path, within))


def _entry(root: Path, path: Path, problem: str) -> Entry:
    name = path.relative_to(root).as_posix()
    shown = os.fsencode(name).decode(errors="replace")
    return Entry(normalized(shown), lambda: path.open("rb"), problem if shown == name else _NO_TEXT)


def _problem(path: Path, within: Path) -> str:
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(within):
            return "a link to outside the folder"
        return "" if stat.S_ISREG(path.stat().st_mode) else "not a regular file"
    except (OSError, RuntimeError):  # a loop of links
        return "a broken link"


def _members(archive: zipfile.ZipFile, encoding: str) -> Iterator[Entry]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for path, member in sorted(zip(_names(members, encoding), members, strict=True), key=itemgetter(0)):
        problem = "encrypted" if member.flag_bits & _ENCRYPTED else _NO_TEXT if "\ufffd" in path else ""
        hidden = any(map(_is_hidden, PurePosixPath(path).parts))
        yield Entry(path, partial(archive.open, member), HIDDEN if hidden else problem)


def _names(members: Sequence[zipfile.ZipInfo], encoding: str) -> list[str]:
    """The members' paths: what is not marked as UTF-8 is in any encoding, and Python has read it as code page 437."""
    raw = [_unread(member) for member in members]
    unmarked = [(name, member) for name, member in zip(raw, members, strict=True) if name and not name.isascii()]
    codec = _encoding_of(unmarked, encoding) if unmarked else "ascii"
    names = (
        member.filename if name is None else name.decode(codec, "replace")
        for name, member in zip(raw, members, strict=True)
    )
    return [normalized(name.replace("\\", "/")) for name in names]


def _unread(member: zipfile.ZipInfo) -> bytes | None:
    """A member's name as it is stored; None if its encoding is known: by a mark, or a field that Python 3.12 reads."""
    stored = member.orig_filename.partition("\0")[0].replace(os.sep, "/")
    is_known = member.flag_bits & _UTF8 or member.filename != stored
    return None if is_known else stored.encode("cp437")


def _encoding_of(names: Sequence[tuple[bytes, zipfile.ZipInfo]], encoding: str) -> str:
    text = b"\n".join(name for name, _ in names)
    try:
        if encoding:
            return codec_of(encoding)
        if all(member.create_system == _UNIX for _, member in names) and _is_utf8(text):
            return "utf-8"
        return chosen_encoding([text])
    except Undecided:
        shown = names[0][0].decode("ascii", "backslashreplace")
        raise InvalidRequest(
            f"--photos: the encoding of the names in the zip file is not certain ({shown}); name it: --encoding gbk"
        ) from None
    except SourceError as error:
        raise InvalidRequest(f"--encoding: {error}") from None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def why(error: BaseException) -> str:
    """What is wrong, the same for all files of which it is true."""
    if isinstance(error, _DAMAGED):
        return "damaged"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name.casefold() in _OF_SYSTEMS
