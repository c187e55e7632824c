"""The corpus: small files in full, each with the rows it has or the words of its refusal."""

import codecs
import gzip
from base64 import b64encode
from dataclasses import dataclass

URI = "http://host/女.jpg"
ROWS = f"{URI},tag,描述\n" * 3


@dataclass(frozen=True, slots=True)
class Case:
    """One file.

    Attributes:
        rows: rows it has; 0 if it is to be refused.
        refusal: words of the refusal.
        line: the line that the refusal names.
        plain: encoding in which Python's own reader, by default, sees the same rows; empty where it does not.
    """

    name: str
    data: bytes
    rows: int = 0
    refusal: str = ""
    line: int | None = None
    plain: str = "utf-8-sig"


def refused(name: str, data: bytes, words: str, line: int | None = None) -> Case:
    """A file that cannot be read as a whole."""
    return Case(name, data, refusal=words, line=line)


ANCHOR = b"http://host/first.jpg\n"


def below(name: str, data: bytes, rows: int, *, plain: str = "utf-8-sig") -> Case:
    """A file with these lines below one row, whose address shows which column has the addresses."""
    return Case(name, ANCHOR + data, rows + 1, plain=plain)


def refused_below(name: str, data: bytes, words: str, line: int) -> Case:
    """The same for lines that are refused; `line` counts from them."""
    return refused(name, ANCHOR + data, words, line + 1)


EMPTY = [
    refused("empty", b"", "no rows"),
    refused("header only", b"uri,tag,description\n", "no rows"),
    refused("header without line end", b"uri", "no rows"),
    refused("mark only", codecs.BOM_UTF8, "no rows"),
    refused("mark and header", codecs.BOM_UTF8 + b"uri,tag\r\n", "no rows"),
    refused("blank lines", b"\n\r\n\r \n\t\n", "no rows"),
    refused("quoted nothing", b'""\n""\n', "no rows"),
    refused("utf-16 mark only", codecs.BOM_UTF16_LE, "no rows"),
    refused("one byte", b"a", "no URI in the first 1 rows"),
    refused("one comma", b",", "no rows"),
    refused("commas", b",,,,\n,,\n,\n", "no rows"),
    Case("commas below a row", ANCHOR + b",,,,\n,,\n,\n", 1),
]
QUOTES = [
    refused_below("quote opened last", b'a,b\n"', "never closed", 2),
    refused_below("quote never closed", b'a,"b\n' + b"c,d\n" * 50, "not closed properly by line 52", 1),
    refused_below("quote closed by the next row's", b'a,"b\nc,"d"\ne,f\n', "not closed properly by line 3", 1),
    refused_below("odd quotes", b'a,""",b\n', "never closed", 1),
    refused_below("quote in the last cell", b"a,b\nc,d\n" + b'e,"', "never closed", 3),
    below("doubled quotes", b'"a""b","""","tag"\n', 1),
    below("quote in a bare cell", b'a"b"c,d\n', 1),
    below("stray quote behind a cell", b'"a"b,c\nd,e\n', 2),
    below("line ends in quotes", b'"a","b\nc\r\nd\re"\nf,g\n', 2),
    below("commas in quotes", b'"a,b,c",",,,"\n', 1),
    below("single quotes are letters", b"'a,b',c\n", 1),
    below("typographic quotes are letters", "“a,b”,c\n".encode(), 1),
    below("backslash is a letter", b'a\\,"b\\"\nc\n', 2),
]
LINES = [
    below("cr only", b"a,b\rc,d\r", 2),
    below("crlf", b"a,b\r\nc,d\r\n", 2),
    below("lf cr", b"a,b\n\rc,d\n\r", 2),
    below("mixed ends", b"a\rb\nc\r\nd", 4),
    below("cr cr lf", b"a,b\r\r\nc,d\r\r\n", 2),
    below("no end at the end", b"a,b\nc", 2),
    below("vertical tabs and form feeds", b"a\x0bb\x0cc\nd\n", 2),
    below("unicode line separators", "a\u2028b\u2029c\u0085d\ne\n".encode(), 2),
    below("control characters", bytes(range(1, 9)) + b"\x0e\x1b\x7f,b\n", 1),
    below("ctrl-z at the end", b"a,b\n\x1a", 2),
    below("spaces", b" a , b \n  c\t\n", 2),
    below("thousand blank lines between", b"a\n" + b"\n" * 1000 + b"b\n", 2),
]
SHAPE = [
    below("ragged", b"a\nb,c\nd,e,f\ng,h,i,j\nk,l,m,n,o\n", 5),
    Case("header, ragged", b"uri,tag\nhttp://h\nb,c,d\n,\nx\n", 3),
    Case("header in another order", b"id,description,uri\n1,d,http://h\n", 1),
    Case("header in capitals", b"URI,TAG\nhttp://h,b\n", 1),
    Case("header with other names", "照片,姓名,部门\nhttp://h,b,c\n".encode(), 1),
    Case("header twice", b"uri,tag\nuri,tag\nhttp://h,b\n", 2),
    Case("header in the middle", b"http://h,b\nuri,tag\nc,d\n", 3),
    refused("column twice", b"uri,tag,tag\nhttp://h,b,c\n", "may all be the tag"),
    refused("column twice by alias", b"desc,uri,description\na,http://h,c\n", "may all be the description"),
    Case("semicolons", b"http://h;b;c\nhttp://h;e;f\n", 2, plain=""),
    Case("tabs", b"http://h\tb\tc\n", 1, plain=""),
    Case("sep= line of a spreadsheet", b"sep=|\nhttp://h|b\n", 1, plain=""),
    refused("two separators", b"http://h/a,b;Werk 1, Halle 2\n", "may be a comma", 1),
    refused("header without addresses", b"name,path\na,b\n", "no column is known to have the URIs"),
    refused("unknown header", b"beeld,naam\nhttp://h,b\n", "if it is a header"),
    refused("column without a name", b"http://h,b,c,d\n" * 3, "4 cells for 3 columns"),
    refused("lines in quotes", b'uri,tag\n"http://h,b"\n', "each line is one quoted cell"),
    Case("duplicate ids", b"uri,id\nhttp://h,1\nb,1\nhttp://h,1\n", 3),
    below("duplicate rows", b"a,b,c\n" * 200, 200),
    below("formula cells", b'=cmd|\' /C calc\'!A0,+1,-1\n@SUM(1),\t=1,"=HYPERLINK(""x"")"\n', 2),
    below("unquoted data uri", b"data:image/png;base64,AAAA,tag\n", 1),
    below("quoted data uri", b'"data:image/png;base64,AAAA",tag\n', 1),
    below("hostile uris", b"file:///etc/passwd\nhttp://169.254.169.254/\njavascript:alert(1)\n../../x\n", 4),
    below("markup in cells", b"a,<script>alert(1)</script>,{{7*7}}\n'; DROP TABLE task;--,%s%n,${x}\n", 2),
    below("right-to-left and zero width", "a\u202eb\u200b\ufeffc,\ud7ff\U0010ffff\n".encode(), 1),
    below("combining letters", ("a" + "\u0301" * 5000 + ",b\n").encode(), 1),
    below("thousand columns", b",".join([b"x"] * 1000) + b"\na,b\n", 2),
    below("cell of 300 kB", b"a," + b"x" * 300_000 + b"\nb\n", 2),
]
BYTES = [
    refused_below("zero byte", b"a,b\nc\0d\n", "zero byte", 2),
    refused_below("zero bytes only", bytes(1000), "zero byte", 1),
    refused_below("zero byte in quotes", b'a,"b\nc\0"\n', "zero byte", 2),
    refused_below("half a utf-8 character may be a whole one of gb18030", b"a,\xe5\xa5", "save the file as", 1),
    refused("half a utf-8 character after a mark", codecs.BOM_UTF8 + ANCHOR + b"a,\xe5\xa5", "not valid UTF-8", 2),
    refused("overlong utf-8", b"\xef\xbb\xbfa\n\xc0\xaf\n", "not valid UTF-8", 2),
    refused("surrogate in utf-8", b"\xef\xbb\xbfa\n\xed\xa0\x80\n", "not valid UTF-8", 2),
    below("windows-1252", "José,Müller\nFrançois,b\n".encode("cp1252"), 2, plain="cp1252"),
    below("big5", "a,陳俊傑\nb,林美玲\n".encode("big5"), 2, plain="big5"),
    below("shift-jis", "a,さくら\nb,高橋ケン\n".encode("cp932"), 2, plain="cp932"),
    below("euc-kr", "a,김철수\nb,이영희\n".encode("euc-kr"), 2, plain="euc-kr"),
    refused_below("windows-1250", "a,Dvořák\nb,Jiří Němec\n".encode("cp1250"), "Windows-1250", 1),
    refused_below("windows-1251", "a,Иванов\nb,Пётр\n".encode("cp1251"), "Windows-1251", 1),
    refused_below("random bytes", bytes(range(128, 256)) * 4, "makes sense", 1),
    refused("half a utf-16 unit", codecs.BOM_UTF16_LE + b"a\0\n\0b", "not valid UTF-16-LE", 2),
    refused("lone surrogate in utf-16", codecs.BOM_UTF16_BE + b"\0a\0\n\xd8\0\0x", "not valid UTF-16-BE", 2),
    refused_below("utf-16 mark inside", b"a,b\n" + codecs.BOM_UTF16_LE + b"c\n", "makes sense", 2),
    Case("utf-8 mark", codecs.BOM_UTF8 + ROWS.encode(), 3),
    Case("utf-8 mark before a quote", codecs.BOM_UTF8 + b'"http://h",b\n', 1),
    Case("two utf-8 marks", codecs.BOM_UTF8 * 2 + ROWS.encode(), 3),
    Case("utf-16 le", codecs.BOM_UTF16_LE + ROWS.encode("utf-16-le"), 3, plain="utf-16"),
    Case("utf-16 be", codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be"), 3, plain="utf-16"),
    Case("utf-16 without a mark", ROWS.encode("utf-16-le"), 3, plain="utf-16-le"),
    Case("gb18030", ROWS.encode("gb18030"), 3, plain="gb18030"),
    below("gb18030, four bytes", f"a,{chr(0x20000)}\n女,b\n".encode("gb18030"), 2, plain="gb18030"),
    refused("utf-32", "a,b\n".encode("utf-32"), "UTF-32"),
    refused("utf-7 is ascii, and its plus too", b"+AG\0", "zero byte", 1),
]
OTHER_FILES = [
    refused("png", b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG image"),
    refused("jpeg", b"\xff\xd8\xff\xe0" + bytes(50), "a JPEG image"),
    refused("gif that is a csv", b"GIF89a,tag,description\n", "a GIF image"),
    refused("zip", b"PK\x03\x04" + bytes(50), "ZIP archive, is damaged"),
    refused("workbook", b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "the workbook, or ZIP archive, is damaged"),
    refused("old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "another old Microsoft Office file"),
    refused("gzip", gzip.compress(ROWS.encode()), "gzip"),
    refused("web page", b"<!DOCTYPE html>\n<html></html>", "a web page"),
    refused("pdf", b"%PDF-1.7\n", "a PDF document"),
    refused("program", b"\x7fELF\x02\x01\x01" + bytes(9), "zero byte", 1),
    refused("json", b'{"uri": "a",\n "tag": "b"}\n', "no URI in the first 2 rows"),
    refused("a url list in base64", b64encode(ROWS.encode()) + b"\n", "no URI in the first 1 rows"),
]
CASES = [*EMPTY, *QUOTES, *LINES, *SHAPE, *BYTES, *OTHER_FILES]
