"""The rows of the demo's import, and the expected code of each.

The limits lie far from everything the engine measures (tests/stack/demo asserts 5 degrees, 10 pixels and 10 points of
blur), so the results are the same on every machine.
"""

import csv
import io
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from examples.demo.pictures import (
    COLLINS,
    HOPPER,
    PHOTOGRAPHER,
    blurred,
    encoded,
    grey,
    lit,
    looking_up,
    mirrored,
    photograph,
    portrait,
    side_by_side,
    stored_sideways,
    tilted,
)
from face_import.contract import Code

LIMITS = {"pos_pitch": 24, "pos_yaw": 30, "pos_rol": 20, "width": 45, "height": 90, "blur_degree": 40}
HEADER = ("uri", "tag", "description", "id")
PEOPLE = {COLLINS: "艾琳·柯林斯", HOPPER: "葛丽丝·霍普", PHOTOGRAPHER: "摄影师"}


@dataclass(frozen=True, slots=True)
class AlbumRow:
    """One row of the import.

    Attributes:
        code: the expected result.
        name: the picture's name on the host; or a whole URI, or empty for no URI.
        data: the picture's file; None if there is none.
        inline: whether the row contains the file as a data URI.
        id: the face's id; by default, the import generates one.
        surplus: cells beyond the header's.
    """

    code: Code
    name: str
    data: bytes | None = None
    tag: str = ""
    description: str = ""
    inline: bool = False
    id: str = ""
    surplus: tuple[str, ...] = ()

    def uri(self, host: str) -> str:
        """The row's URI, with pictures at `host` (without a trailing slash)."""
        if self.inline:
            return f"data:image/jpeg;base64,{b64encode(self.data or b'').decode()}"
        return f"{host}/{self.name}" if self.name and ":" not in self.name else self.name


def album() -> list[AlbumRow]:
    """All rows, in the order of the file."""
    return [
        *_portraits(),
        *_formats(),
        *_groups(),
        *_turned_away(),
        *_too_small_or_blurred(),
        *_without_a_face(),
        *_unreachable(),
        *_unreadable(),
    ]


def hosted(entries: Sequence[AlbumRow]) -> Mapping[str, bytes]:
    """The files for the host to serve, by name."""
    return {entry.name: entry.data for entry in entries if entry.data is not None and not entry.inline}


def csv_file(entries: Sequence[AlbumRow], host: str) -> bytes:
    """The file as written by a spreadsheet program: UTF-8 with a byte order mark, CR LF, quotes where needed."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for entry in entries:
        writer.writerow((entry.uri(host), entry.tag, entry.description, entry.id, *entry.surplus))
    return text.getvalue().encode("utf-8-sig")


def _portraits() -> Iterator[AlbumRow]:
    for person, who, note in ((COLLINS, "collins", "宇航员"), (HOPPER, "hopper", "海军准将")):
        name = PEOPLE[person]
        for side in (260, 400, 640, 960):
            picture = encoded(portrait(person, side))
            yield AlbumRow(
                Code.OK, f"{who}-{side}.jpg", picture, person, f"{name}，{note}，{side} 像素", id=f"{who}-{side}"
            )
        changed = {
            "mirrored": (mirrored(portrait(person)), "镜像"),
            "grey": (grey(portrait(person)), "黑白"),
            "dark": (lit(portrait(person), 0.6), '光线"偏暗", 室内'),
            "tilted-left": (tilted(portrait(person), -7), "向左\n倾斜"),
            "tilted-right": (tilted(portrait(person), 7), "向右\n倾斜"),
        }
        for change, (altered, remark) in changed.items():
            yield AlbumRow(Code.OK, f"{who}-{change}.jpg", encoded(altered), person, f"{name}，{remark}")


def _formats() -> Iterator[AlbumRow]:
    for form, person in (("PNG", COLLINS), ("WEBP", HOPPER), ("BMP", COLLINS), ("TIFF", HOPPER)):
        picture = encoded(portrait(person, 280), form)
        yield AlbumRow(Code.OK, f"portrait.{form.lower()}", picture, person, f"{PEOPLE[person]}，{form} 格式")
    yield AlbumRow(Code.OK, "from-a-phone.jpg", stored_sideways(portrait(HOPPER)), HOPPER, "手机照片，EXIF 方向")
    for person in (COLLINS, HOPPER):
        picture = encoded(mirrored(portrait(person, 270)))
        yield AlbumRow(Code.OK, "", picture, person, f"{PEOPLE[person]}，data URI", inline=True)


def _groups() -> Iterator[AlbumRow]:
    """Pictures of two people, of which the larger face counts."""
    pairs = {
        "collins-and-hopper.jpg": (Code.OK, COLLINS, portrait(COLLINS), portrait(HOPPER, 260)),
        "hopper-and-collins.jpg": (Code.OK, HOPPER, portrait(HOPPER), portrait(COLLINS, 260)),
        "tilted-collins-and-hopper.jpg": (Code.ROLL, COLLINS, tilted(portrait(COLLINS), 45), portrait(HOPPER, 260)),
    }
    for name, (code, person, *pictures) in pairs.items():
        yield AlbumRow(code, name, encoded(side_by_side(*pictures)), person, f"双人照，较大的脸：{PEOPLE[person]}")


def _turned_away() -> Iterator[AlbumRow]:
    for n, (margin, scale) in enumerate(((0, 1.0), (40, 1.0), (80, 0.8), (20, 1.5)), 1):
        yield AlbumRow(Code.PITCH, f"collins-looking-up-{n}.jpg", encoded(looking_up(margin, scale)), COLLINS, "仰头")
    for side in (400, 480, 640):
        name = f"photographer-{side}.jpg"
        yield AlbumRow(Code.YAW, name, encoded(portrait(PHOTOGRAPHER, side)), PHOTOGRAPHER, "侧脸")
    yield AlbumRow(Code.YAW, "", encoded(portrait(PHOTOGRAPHER, 520)), PHOTOGRAPHER, "侧脸，data URI", inline=True)
    for person, who in ((COLLINS, "collins"), (HOPPER, "hopper")):
        for degrees in (-40, 90):
            picture = encoded(tilted(portrait(person), degrees))
            yield AlbumRow(Code.ROLL, f"{who}-rolled{degrees:+}.jpg", picture, person, f"旋转 {degrees} 度")


def _too_small_or_blurred() -> Iterator[AlbumRow]:
    for person, who in ((COLLINS, "collins"), (HOPPER, "hopper")):
        thumbnail, small = portrait(person, 75), portrait(person, 150)
        yield AlbumRow(Code.WIDTH, f"{who}-thumbnail.jpg", encoded(thumbnail), person, "缩略图")
        yield AlbumRow(Code.HEIGHT, f"{who}-small.jpg", encoded(small), person, "小图")
        yield AlbumRow(Code.BLUR, f"{who}-blurred.jpg", encoded(blurred(portrait(person), 5)), person, "失焦")


def _without_a_face() -> Iterator[AlbumRow]:
    for name in ("coffee.png", "chelsea.png", "moon.png", "rocket.jpg", "page.png"):
        yield AlbumRow(Code.NO_FACE, name.replace(".png", ".jpg"), encoded(photograph(name)), "", "没有人脸")


def _unreachable() -> Iterator[AlbumRow]:
    yield AlbumRow(Code.URI_UNREACHABLE, "missing.jpg", description="已删除的照片")
    yield AlbumRow(Code.URI_UNREACHABLE, "", tag=COLLINS, description="没有 uri")
    yield AlbumRow(Code.URI_UNREACHABLE, "ftp://files.example/face.jpg", description="不支持的协议")
    yield AlbumRow(Code.URI_UNREACHABLE, "http://169.254.169.254/face.jpg", description="内网地址，拒绝访问")
    yield AlbumRow(Code.URI_UNREACHABLE, "data:image/jpeg;base64,/9j/4AAQS", description="损坏的 data URI")


def _unreadable() -> Iterator[AlbumRow]:
    whole = encoded(portrait(COLLINS))
    yield AlbumRow(Code.IMAGE_UNREADABLE, "truncated.jpg", whole[: len(whole) // 2], COLLINS, "下载到一半")
    yield AlbumRow(Code.IMAGE_UNREADABLE, "text.jpg", "这不是图片".encode(), "", "改了扩展名的文本")
    yield AlbumRow(Code.IMAGE_UNREADABLE, "broken.gif", b"GIF89a", "", "损坏的 GIF")
    surplus = ("一个没有引号的逗号",)
    yield AlbumRow(Code.SYSTEM, "surplus.jpg", whole, COLLINS, "多出一列", id="surplus", surplus=surplus)
