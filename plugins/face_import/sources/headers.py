"""Names of columns: which title in a header means which of our columns (docs/reference/files.md has the same table)."""

import re
from collections.abc import Mapping, Sequence

from face_import.domain.uri import cleaned
from face_import.errors import SourceError

TITLES: Mapping[str, tuple[str, ...]] = {
    "uri": (
        *("uri", "url", "link", "href", "src", "image", "image uri", "image url", "image link", "img", "img url"),
        *("photo", "photo uri", "photo url", "photo link", "picture", "picture url", "picture link", "pic", "pic url"),
        *("face", "face url", "face image", "face photo", "avatar", "avatar url", "headshot", "portrait"),
        *("foto", "foto url", "bild", "bild url", "imagen", "imagem"),
        *("照片", "照片地址", "照片链接", "照片url", "图片", "图片地址", "图片链接", "图片url", "图像", "图像地址"),
        *("人脸", "人脸图片", "人脸照片", "人脸url", "头像", "头像地址", "头像链接", "链接", "网址"),
        *("员工照片", "学生照片", "证件照", "圖片", "圖片網址", "圖片連結", "相片", "頭像", "連結", "網址"),
        *("写真", "画像", "画像url", "사진", "이미지"),
    ),
    "tag": (
        *("tag", "name", "full name", "display name", "person", "person name", "employee name", "student name"),
        *("label", "nombre", "nom", "nome", "姓名", "中文姓名", "名称", "名字", "标签", "人员姓名", "员工姓名"),
        *("学生姓名", "名稱", "標籤", "員工姓名", "氏名", "社員名", "名前", "이름", "성명"),
    ),
    "description": (
        *("description", "desc", "remark", "remarks", "comment", "comments", "note", "notes", "beschreibung"),
        *("bemerkung", "备注", "描述", "说明", "備註", "說明", "備考", "説明", "비고", "설명"),
    ),
    "id": (
        *("id", "face id", "person id", "employee id", "employee no", "employee number", "staff id", "staff no"),
        *("student id", "student no", "member id", "emp id", "user id", "id number", "personalnummer"),
        *("personal-nr", "mitarbeiternummer", "matricule", "工号", "编号", "学号", "员工编号", "员工工号", "人员编号"),
        *("员工id", "員工編號", "工號", "編號", "學號", "社員番号", "사번"),
    ),
}
"""Titles of each of our columns. Case, spaces, `_`, `-`, an asterisk and a remark in parentheses do not matter."""

_REMARK = re.compile(r"[(（\[【][^()（）]*[)）\]】]\s*$")
_CJK = r"[\u3040-\u9fff\uac00-\ud7a3]"
_PARTS = re.compile(rf"[/()（）\n]|(?<={_CJK})\s+(?=[!-~])|(?<=[!-~])\s+(?={_CJK})")
"""Between the languages of a title: 照片/Photo, Name (姓名), 工号 ID."""
_SEPARATORS = set(',;|\t"')
_IGNORED = re.compile(r"[\s_\-*＊:：.]+")


def _simplified(title: str) -> str:
    return _IGNORED.sub("", _REMARK.sub("", cleaned(title))).casefold()


_FIELDS = {_simplified(title): field for field, titles in TITLES.items() for title in titles}


def field_of(title: str) -> str:
    """Our column that a title means; empty if it is not known.

    A title in two languages is known if all of its known parts mean the same column.
    """
    if field := _FIELDS.get(_simplified(title)):
        return field
    if _SEPARATORS & set(title):  # more likely several titles than one
        return ""
    fields = {_FIELDS[part] for part in map(_simplified, _PARTS.split(title)) if part in _FIELDS}
    return fields.pop() if len(fields) == 1 else ""


def find_column(titles: Sequence[str], choice: str | int, width: int) -> int | None:
    """Position, from 0, of the column that a client chose by its title or its number from 1; None if there is none.

    Raises:
        SourceError: several columns have this title.
    """
    text = str(choice).strip()
    if isinstance(choice, str):
        for same in (str.strip, _simplified):
            found = [position for position, title in enumerate(titles) if same(title) == same(text)]
            if len(found) > 1:
                raise SourceError(f"columns: {len(found)} columns have the title {text!r}; give the number instead")
            if found:
                return found[0]
    is_number = text.isdecimal() and len(text) <= len(str(width))  # Python refuses to convert thousands of digits
    return int(text) - 1 if is_number and 0 < int(text) <= width else None
