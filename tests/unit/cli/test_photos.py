"""Photos as a source: which files of a folder or zip file are photos, what their names say, and what is sent."""

import csv
import io
import os
import struct
import tracemalloc
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from PIL import Image

from face_import.cli.photos.collecting import Collected, collected
from face_import.cli.photos.names import Pattern
from face_import.cli.photos.places import HIDDEN, entries
from face_import.cli.photos.table import Table
from face_import.cli.upload import Form
from face_import.domain.data_uri import decode_data_uri
from face_import.errors import InvalidRequest, SourceError

MOST = 100_000
TAG = Pattern("{tag}")


def picture(shade: int = 0, form: str = "JPEG") -> bytes:
    """A small image, another one for each shade."""
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).save(file, form)
    return file.getvalue()


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def looked_at(place: Path, pattern: Pattern = TAG, encoding: str = "") -> Collected:
    """What is found there."""
    with entries(place, encoding) as files:
        return collected(files, pattern, MOST)


def tags(found: Collected) -> list[str]:
    """Of the photos, in order."""
    return [photo.labels["tag"] for photo in found.photos]


@pytest.mark.parametrize(
    ("pattern", "path", "said"),
    [
        ("{tag}", "Ann Lee.jpg", {"tag": "Ann Lee"}),
        ("{tag}", "team/new/Ann Lee.JPEG", {"tag": "Ann Lee"}),
        ("{tag}", "Dr. Lee", {"tag": "Dr. Lee"}),
        ("{id}_{tag}", "emp-0007_Ann Lee.jpg", {"id": "emp-0007", "tag": "Ann Lee"}),
        ("{id}_{tag}", "7_Ann_Lee.jpg", {"id": "7", "tag": "Ann_Lee"}),
        ("{id}_{tag}", "Ann Lee.jpg", None),
        ("{id}_{tag}", " _Ann.jpg", None),
        ("{tag}/*", "Ann Lee/1.jpg", {"tag": "Ann Lee"}),
        ("{tag}/*", "staff/Ann Lee/1.jpg", {"tag": "Ann Lee"}),
        ("{tag}/*", "1.jpg", None),
        ("{description}/{tag} ({id})", "前台/李娜 (7).png", {"description": "前台", "tag": "李娜", "id": "7"}),
        ("{tag}.v*", "Ann.v2.jpg", {"tag": "Ann"}),
        ("é{tag}", unicodedata.normalize("NFC", "éAnn.jpg"), {"tag": "Ann"}),
    ],
)
def test_a_name_is_read_by_the_pattern(pattern: str, path: str, said: dict[str, str] | None) -> None:
    """The end of the path counts, without the suffix; nothing is blank."""
    assert Pattern(pattern).read(path) == said


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("", "has none of"), ("*", "has none of"), ("{name}", "{name} is none of"), ("{tag}_{tag}", "{tag} comes twice")],
)
def test_a_pattern_that_says_nothing_is_a_usage_error(pattern: str, said: str) -> None:
    """Before anything is read."""
    with pytest.raises(typer.BadParameter) as refused:
        Pattern(pattern)
    assert said in str(refused.value)


def test_what_is_no_photo_is_left_out_with_the_reason(tmp_path: Path) -> None:
    """Content decides, not the suffix; what is outside the folder is not read, and nothing is left out silently."""
    outside = put(tmp_path / "outside", {"secret.jpg": picture(99)})
    folder = put(
        tmp_path / "team",
        {
            "ann.jpg": picture(1),
            "bob": picture(2, "PNG"),
            "sub/eve.webp": picture(3, "WEBP"),
            "zoe.jpg": picture(1),
            "notes.jpg": b"telephone numbers",
            "empty.jpg": b"",
            "huge.jpg": picture(4) + bytes(MOST),
            ".hidden.jpg": picture(5),
            "._ann.jpg": b"\0\5\x16\7",
            "Thumbs.db": b"\xd0\xcf",
            ".git/x.jpg": picture(6),
            "__MACOSX/ann.jpg": picture(7),
        },
    )
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "folder").symlink_to(outside)
    (folder / "gone.jpg").symlink_to(folder / "nothing")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / os.fsdecode(b"\xc0\xee.jpg")).write_bytes(picture(8))
    found = looked_at(folder)
    assert tags(found) == ["ann", "bob", "eve"]
    assert found.left_out == {
        HIDDEN: ["._ann.jpg", ".git", ".hidden.jpg", "Thumbs.db", "__MACOSX"],
        "empty file": ["empty.jpg"],
        "a link to outside the folder": ["folder", "link.jpg"],
        "a broken link": ["gone.jpg", "loop.jpg"],
        f"larger than {MOST} bytes": ["huge.jpg"],
        "text, not an image": ["notes.jpg"],
        "not a regular file": ["pipe.jpg"],
        "the same picture as another": ["zoe.jpg = ann.jpg"],
        "its name cannot be read as text": ["\ufffd\ufffd.jpg"],
    }
    said = list(found.sentences())
    assert said[0] == "3 photos, 0.0 MB"
    assert f"left out 5 files ({HIDDEN}): ._ann.jpg, .git, .hidden.jpg, ..." in said


def test_a_link_within_the_folder_is_a_file_of_it(tmp_path: Path) -> None:
    """Its name counts as any other; the folder itself may be a link."""
    folder = put(tmp_path / "team", {".store/1": picture(1)})
    (folder / "ann.jpg").symlink_to(".store/1")
    (tmp_path / "here").symlink_to(folder)
    assert tags(looked_at(tmp_path / "here")) == ["ann"]


def test_names_are_composed(tmp_path: Path) -> None:
    """As macOS stores them, é is two characters."""
    folder = put(tmp_path, {unicodedata.normalize("NFD", "José.jpg"): picture()})
    assert tags(looked_at(folder)) == [unicodedata.normalize("NFC", "José")]


class _InGbk(zipfile.ZipInfo):
    """As Windows writes a member: its name in the code page of the language, without a mark."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


class _InExtraField(zipfile.ZipInfo):
    """As Info-ZIP writes a member: its name without a mark, and again in a field that Python 3.12 reads."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raw = name.encode()
        self.extra = struct.pack("<HHBL", 0x7075, 5 + len(raw), 1, zlib.crc32(raw)) + raw

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name
        return self.filename.encode(), self.flag_bits & ~0x800


def packed(path: Path, members: Mapping[str | zipfile.ZipInfo, bytes]) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_file_is_read_without_unpacking(tmp_path: Path) -> None:
    """Members in folders, names with Windows' slashes or none of our business, and what macOS adds."""
    members = {"team/ann.jpg": picture(1), "team\\bob.jpg": picture(2), "../eve.jpg": picture(3)}
    others = {"__MACOSX/team/._ann.jpg": b"\0\5\x16\7", "team/.DS_Store": b"\0", "team/": b"", "read.me": b"hello"}
    found = looked_at(packed(tmp_path / "team.zip", members | others))
    assert sorted(tags(found)) == ["ann", "bob", "eve"]
    assert set(found.left_out) == {HIDDEN, "text, not an image"}
    assert not (tmp_path.parent / "eve.jpg").exists()


def test_names_of_windows_are_recognised_or_asked_for(tmp_path: Path) -> None:
    """Enough Chinese names are certain; few bytes may be anything, and are never guessed."""
    names = ["李娜", "王芳", "张伟", "刘洋", "陈静", "杨敏", "赵磊", "周强"]
    many = {_InGbk(f"{name}.jpg"): picture(n) for n, name in enumerate(names)}
    assert sorted(tags(looked_at(packed(tmp_path / "many.zip", many)))) == sorted(names)
    few = packed(tmp_path / "few.zip", {_InGbk("娜.jpg"): picture()})
    with pytest.raises(InvalidRequest, match=r"not certain .* name it: --encoding gbk"):
        looked_at(few)
    assert tags(looked_at(few, encoding="gbk")) == ["娜"]
    assert looked_at(few, encoding="utf-8").left_out.keys() == {"its name cannot be read as text"}
    with pytest.raises(InvalidRequest, match="--encoding: unknown encoding 'klingon'"):
        looked_at(few, encoding="klingon")


@pytest.mark.parametrize("name", ["张三", "José"])
def test_names_in_a_field_of_their_own_are_read(tmp_path: Path, name: str) -> None:
    """By any version of Python, whether or not code page 437 has their characters."""
    assert tags(looked_at(packed(tmp_path / "unix.zip", {_InExtraField(f"{name}.jpg"): picture()}))) == [name]


def test_a_bomb_costs_no_more_than_a_photo(tmp_path: Path) -> None:
    """A gigabyte in a megabyte is read up to the largest size of a photo, whatever the file says of its size."""
    bomb = packed(tmp_path / "bomb.zip", {"a.jpg": picture() + bytes(200_000_000)})
    assert bomb.stat().st_size < 500_000
    tracemalloc.start()
    found = looked_at(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.photos, found.left_out) == ([], {f"larger than {MOST} bytes": ["a.jpg"]})
    assert peak < 5_000_000


def test_a_damaged_member_is_left_out(tmp_path: Path) -> None:
    """The others are photos; an encrypted one is named, and what is no zip file is refused."""
    path = tmp_path / "team.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann.jpg", picture(1))
        archive.writestr("bob.jpg", picture(2))
        archive.writestr("eve.jpg", picture(3))
    data = bytearray(path.read_bytes())
    data[data.index(picture(2)) + 150] ^= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    found = looked_at(path)
    assert tags(found) == ["ann"]
    assert set(found.left_out) == {"cannot be read: damaged", "encrypted"}
    with pytest.raises(InvalidRequest, match="neither a folder nor a readable zip file"):
        looked_at(put(tmp_path, {"no.zip": b"PK\3\4"}) / "no.zip")


def test_a_table_has_the_bytes_of_the_photos(tmp_path: Path) -> None:
    """It is as long as it says, twice the same, and each row has what the name says and where it is from."""
    files = {'7_A "b", c.jpg': picture(1), "8_=cmd.png": picture(2, "PNG"), "9_李娜.jp2": picture(3, "JPEG2000")}
    found = looked_at(put(tmp_path, files), Pattern("{id}_{tag}"))
    table = Table("team", found.photos)
    content = b"".join(table.chunks())
    assert (len(content), content, table.name) == (table.size, b"".join(table.chunks()), "team.csv")
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert header == ["uri", "tag", "id", "file"]
    assert [row[1:] for row in rows] == [[name[2:].rpartition(".")[0], name[0], name] for name in files]
    assert [decode_data_uri(row[0], MOST) for row in rows] == list(files.values())
    assert [row[0].partition(";")[0] for row in rows] == ["data:image/jpeg", "data:image/png", "data:image/jp2"]


def test_the_digest_tells_photos_apart(tmp_path: Path) -> None:
    """Another picture or another name is another table; the place and the time are not."""
    first, same, renamed, retaken = (
        Table(str(n), looked_at(put(tmp_path / str(n), {name: picture(shade)})).photos)
        for n, (name, shade) in enumerate([("a.jpg", 1), ("a.jpg", 1), ("b.jpg", 1), ("a.jpg", 2)])
    )
    assert first.digest == same.digest
    assert len({first.digest, renamed.digest, retaken.digest}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(picture(9)), "was changed while"),
        (lambda path: path.write_bytes(b""), "was changed while"),
        (lambda path: path.unlink(), "cannot be read any more: No such file"),
    ],
    ids=["other", "shorter", "gone"],
)
def test_a_photo_that_changes_is_noticed(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    """Before the end of the upload, so that nothing of it is stored."""
    table = Table("team", looked_at(put(tmp_path, {"a.jpg": picture()})).photos)
    change(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match=f"a.jpg {said}"):
        list(table.chunks())


def test_memory_is_flat(tmp_path: Path) -> None:
    """Looking at photos and sending them takes a fraction of one."""
    for n in range(4):
        put(tmp_path, {f"{n}.jpg": picture(n) + os.urandom(8_000_000)})
    tracemalloc.start()
    with entries(tmp_path, "") as files:
        table = Table("team", collected(files, TAG, 10_000_000).photos)
    form = Form({}, table, lambda _sent: None)
    assert sum(map(len, form)) == len(form) > 4 * 8_000_000 * 4 / 3
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
