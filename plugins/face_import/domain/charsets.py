"""The names of encodings: what users write, Python's codecs, and what messages say."""

from typing import Final

from face_import.errors import SourceError

_NAMES: Final = {
    "utf-8": ("UTF-8", "utf8", "utf-8-sig", "utf-8-bom", "cp65001"),
    "utf-16": ("UTF-16", "utf16", "unicode"),
    "utf-16-le": ("UTF-16-LE", "utf-16le"),
    "utf-16-be": ("UTF-16-BE", "utf-16be"),
    "gb18030": ("GB18030", "gbk", "gb2312", "cp936", "windows-936", "euc-cn"),
    "cp950": ("Big5", "windows-950"),
    "big5hkscs": ("Big5-HKSCS",),
    "cp932": ("Shift-JIS", "shiftjis", "sjis", "windows-31j", "ms932"),
    "euc_jp": ("EUC-JP", "eucjp"),
    "cp949": ("EUC-KR", "euckr", "uhc", "ks-c-5601-1987"),
    "cp1252": ("Windows-1252", "ansi", "latin-1", "latin1", "iso-8859-1", "iso8859-1"),
    "iso8859_15": ("ISO-8859-15", "latin-9", "latin9"),
    "cp1250": ("Windows-1250",),
    "iso8859_2": ("ISO-8859-2", "latin-2", "latin2"),
    "cp1251": ("Windows-1251",),
    "koi8_u": ("KOI8-U",),
    "koi8_r": ("KOI8-R",),
    "iso8859_5": ("ISO-8859-5",),
    "cp866": ("IBM866",),
    "cp1253": ("Windows-1253",),
    "iso8859_7": ("ISO-8859-7",),
    "cp1254": ("Windows-1254", "iso-8859-9", "iso8859-9", "latin-5", "latin5"),
    "cp1255": ("Windows-1255",),
    "cp1256": ("Windows-1256",),
    "cp1257": ("Windows-1257",),
    "cp1258": ("Windows-1258",),
    "cp874": ("Windows-874", "tis-620", "tis620"),
    "cp850": ("IBM850",),
    "cp852": ("IBM852",),
    "mac_roman": ("Macintosh", "macroman"),
    "mac_latin2": ("Mac-CentralEurope",),
    "mac_cyrillic": ("X-Mac-Cyrillic",),
}
"""Of each codec the names that are accepted besides its own, the first one shown.

Where Windows has a superset of a standard, that is meant: as browsers do, latin-1 is read as Windows-1252, gb2312 as GB
18030, Big5 as cp950.
"""

CODECS: Final = tuple(_NAMES)
"""Every encoding that may be named."""


def _key(name: str) -> str:
    return "-".join(name.lower().replace("_", " ").replace("-", " ").split())


_CODECS = {_key(name): codec for codec, names in _NAMES.items() for name in (codec, *names)}


def codec_of(name: str) -> str:
    """Python's codec for a name as users write it, in any case, with hyphens, underscores or spaces.

    Raises:
        SourceError: no such encoding is accepted; lists those that are.
    """
    codec = _CODECS.get(_key(name))
    if codec is None:
        accepted = ", ".join(names[0] for names in _NAMES.values())
        raise SourceError(f"unknown encoding {name[:40]!r}; accepted are {accepted}")
    return codec


def name_of(codec: str) -> str:
    """The name to show for a codec, which `codec_of` accepts; UTF-8 with a byte order mark is UTF-8."""
    return _NAMES[codec.removesuffix("-sig")][0]
