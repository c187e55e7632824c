"""The names of encodings: what users write, Python's codecs, and what messages say."""

from typing import Final

from face_import.errors import SourceError

_NAMES: Final = {
    "utf-8": ("utf-8", "utf8", "utf-8-sig", "utf-8-bom", "cp65001"),
    "utf-16": ("utf-16", "utf16", "unicode"),
    "utf-16-le": ("utf-16-le", "utf-16le"),
    "utf-16-be": ("utf-16-be", "utf-16be"),
    "gb18030": ("gb18030", "gbk", "gb2312", "cp936", "windows-936", "euc-cn"),
    "cp950": ("big5", "cp950", "windows-950"),
    "big5hkscs": ("big5-hkscs", "big5hkscs"),
    "cp932": ("shift-jis", "shiftjis", "sjis", "cp932", "windows-31j", "ms932"),
    "euc_jp": ("euc-jp", "eucjp"),
    "cp949": ("euc-kr", "euckr", "cp949", "uhc", "ks-c-5601-1987"),
    "cp1252": ("windows-1252", "cp1252", "ansi", "latin-1", "latin1", "iso-8859-1", "iso8859-1"),
    "iso8859_15": ("iso-8859-15", "iso8859-15", "latin-9", "latin9"),
    "cp1250": ("windows-1250", "cp1250"),
    "iso8859_2": ("iso-8859-2", "iso8859-2", "latin-2", "latin2"),
    "cp1251": ("windows-1251", "cp1251"),
    "koi8_u": ("koi8-u",),
    "koi8_r": ("koi8-r",),
    "iso8859_5": ("iso-8859-5", "iso8859-5"),
    "cp866": ("cp866", "ibm866"),
    "cp1253": ("windows-1253", "cp1253", "iso-8859-7", "iso8859-7"),
    "cp1254": ("windows-1254", "cp1254", "iso-8859-9", "iso8859-9", "latin-5", "latin5"),
    "cp1255": ("windows-1255", "cp1255"),
    "cp1256": ("windows-1256", "cp1256"),
    "cp1257": ("windows-1257", "cp1257"),
    "cp1258": ("windows-1258", "cp1258"),
    "cp874": ("windows-874", "cp874", "tis-620", "tis620"),
    "cp850": ("cp850", "ibm850"),
    "cp852": ("cp852", "ibm852"),
    "mac_roman": ("macroman", "mac-roman", "macintosh"),
    "mac_latin2": ("mac-latin2", "mac-centraleurope"),
    "mac_cyrillic": ("mac-cyrillic", "x-mac-cyrillic"),
}
"""Of each codec the names that are accepted, the first one shown.

Where Windows has a superset of a standard, that is meant: as browsers do, latin-1 is read as windows-1252, gb2312 as GB
18030, big5 as cp950.
"""

_CODECS = {name: codec for codec, names in _NAMES.items() for name in names}


def codec_of(name: str) -> str:
    """Python's codec for a name as users write it, in any case, with hyphens, underscores or spaces.

    Raises:
        SourceError: no such encoding is accepted; lists those that are.
    """
    codec = _CODECS.get("-".join(name.lower().replace("_", " ").replace("-", " ").split()))
    if codec is None:
        accepted = ", ".join(names[0] for names in _NAMES.values())
        raise SourceError(f"unknown encoding {name[:40]!r}; accepted are {accepted}")
    return codec


def name_of(codec: str) -> str:
    """The name to show for a codec, which `codec_of` accepts; UTF-8 with a byte order mark is UTF-8."""
    return _NAMES[codec.removesuffix("-sig")][0]
