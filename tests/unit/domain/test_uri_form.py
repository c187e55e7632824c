"""What a cell holds instead of a URI that can be fetched."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.domain.uri import scheme_of
from face_import.domain.uri_form import UriFlaw, flaw_of, hint_on_failure, is_html_escaped

JPEG = b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(60)).decode()
CASES: dict[UriFlaw, tuple[str, ...]] = {
    UriFlaw.EXAMPLE: ("https://example.invalid/photos/anna.jpg",),
    UriFlaw.SEVERAL: (
        "http://x/a.jpg, http://x/b.jpg",
        "http://x/a.jpg,http://x/b.jpg",
        "http://x/a.jpg|https://x/b.jpg",
        "http://x/a.jpg;HTTP://x/b.jpg",
        "http://x/a.jpg\nhttp://x/b.jpg",
        "http://x/a.jpg http://x/b.jpg",
        "https://p.example/?url=https://x/a.jpg https://x/b.jpg",
    ),
    UriFlaw.SLASHES: ("http:/x/a.jpg", "http:x", "https:\\\\x\\a.jpg", "http:///x/a.jpg", "http//x/a.jpg", "http ://x"),
    UriFlaw.FULL_WIDTH: ("http：//x/a.jpg", "https:／／x/a.jpg", "ｈttp://x", "data：image/png;base64,AA=="),
    UriFlaw.NO_SCHEME: (
        "//x/a.jpg",
        "127.0.0.1:8000/a.jpg",
        "host:8000",
        "localhost/a.jpg",
        "www.example.org",
        "img.example.org/a.jpg",
    ),
    UriFlaw.LOCAL: (
        "C:\\photos\\a.jpg",
        "d:/photos/a.jpg",
        "\\\\server\\share\\a.jpg",
        "/home/anna/a.jpg",
        "~/a.jpg",
        "../a.jpg",
        "photos/a.jpg",
        "照片/张三.jpg",
        "a.JPG",
        "file:///photos/a.jpg",
    ),
    UriFlaw.QUOTES: ("<http://x/a.jpg>", "\u201chttp://x/a.jpg\u201d", '"http://x/a.jpg"', "（https://x/a.jpg）"),
    UriFlaw.MARKUP: ('<img src="http://x/a.jpg">', "[a](http://x/a.jpg)", "![](http://x/a.jpg)"),
    UriFlaw.FORMULA: ('=HYPERLINK("http://x/a.jpg")', '=IMAGE("http://x/a.jpg")', "=A2"),
    UriFlaw.CELL_IMAGE: ('=DISPIMG("ID_0123456789",1)', '=_xlfn.DISPIMG("ID_0123456789",1)'),
    UriFlaw.BASE64: (JPEG, f"{JPEG[:76]}\n{JPEG[76:]}", b64encode(bytes(200)).decode()),
    UriFlaw.NO_DATA: (f"image/jpeg;base64,{JPEG}", f"base64,{JPEG}"),
    UriFlaw.PYTHON_BYTES: (f"b'data:image/jpeg;base64,{JPEG}'", f'b"{JPEG}"'),
    UriFlaw.OBJECT_STORE: ("s3://bucket/a.jpg", "gs://bucket/a.jpg", "oss://bucket/a.jpg"),
    UriFlaw.FTP: ("ftp://x/a.jpg", "sftp://x/a.jpg"),
    UriFlaw.EMAIL: ("mailto:anna@example.org", "anna@example.org"),
    UriFlaw.BROWSER: ("blob:https://x/1", "cid:a@b", "javascript:void(0)"),
    UriFlaw.OTHER_SCHEME: ("gopher://x/a.jpg", "urn:isbn:x"),
    UriFlaw.NO_URI: ("", "anna", "NULL", "-"),
}


@pytest.mark.parametrize(("cell", "flaw"), [(cell, flaw) for flaw, cells in CASES.items() for cell in cells])
def test_a_cell_says_what_it_is(cell: str, flaw: UriFlaw) -> None:
    """Each by its form alone."""
    assert flaw_of(cell) is flaw


def test_every_flaw_has_a_case() -> None:
    """None is left that nothing leads to."""
    assert set(CASES) == set(UriFlaw)


@pytest.mark.parametrize(
    "uri",
    [
        "http://x/a.jpg",
        "HTTPS://x:8000/a b.jpg?c=d,e;f|g",
        "https://web.archive.org/web/2020/https://example.org/a.jpg",
        "https://p.example/?url=https://x/y",
        "https://p.example/?urls=https://x/a,https://x/b",
        "data:image/png;base64,AA==",
        "data:anything",
        "http://",
    ],
)
def test_one_url_has_no_flaw(uri: str) -> None:
    """Also one that has others in it: what is wrong with these shows when they are fetched."""
    assert flaw_of(uri) is None


@given(st.text(), st.sampled_from(["", "http:", "http://", "https://a,", "=", "<", "b'", "image/", "\uff48ttp"]))
def test_any_cell_has_an_answer(text: str, start: str) -> None:
    """Whatever it holds; only what http, https and data begin is ever fetched."""
    flaw = flaw_of(start + text)
    assert flaw is not None or scheme_of(start + text) in {"http", "https", "data"}


@pytest.mark.parametrize(
    ("uri", "escaped"),
    [
        ("https://x/a.jpg?b=1&amp;c=2", True),
        ("https://x/a.jpg?b=1&AMP;c=2", True),
        ("https://x/a.jpg?b=1&c=2", False),
        ("https://x/a&amp;b.jpg", False),
        ("data:text/plain,?&amp;", False),
    ],
)
def test_a_query_copied_from_html_gets_a_hint(uri: str, escaped: bool) -> None:
    """A server may mean it, so it is only a hint."""
    assert is_html_escaped(uri) is escaped
    assert ("HTML" in hint_on_failure(uri)) is escaped


@pytest.mark.parametrize(("size", "cut"), [(32_766, False), (32_767, True), (32_768, False)])
def test_a_cell_as_long_as_excel_allows_gets_a_hint(size: int, cut: bool) -> None:
    """One character more or less was not cut off by it."""
    assert ("32,767" in hint_on_failure("data:;base64,".ljust(size, "A"))) is cut
